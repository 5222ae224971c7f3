"""S2: take_up (R4), heartbeat (R5), finish, retry_later and hand_back (R6); S5: a worker in another language."""

from __future__ import annotations

from docs.protocol_model.state import CLOSED, FOREIGN, OPEN, Config, Entry, Ledger, Run, State, Step, Steps, find, known, send_result


def steps(s: State, c: Config) -> Steps:
    """What stream workers may do."""
    for worker in c.workers:
        if not any(run.worker == worker and run.sure for run in s.runs):
            for entry in s.entries:
                if not entry.owner or (not entry.leased and worker != FOREIGN):
                    yield from _read(s, c, worker, entry)
    for run in s.runs:
        if run.worker == FOREIGN:
            yield from _foreign(s, c, run)
        else:
            yield from _work(s, c, run)
        if s.faults and "worker dies" in c.may:
            yield Step(f"{run.worker} dies in run {run.token} of {run.entry}", s.fault()._replace(runs=s.runs - {run}), fair=False)


def resolved(ledger: Ledger, c: Config) -> bool:
    """Closed, about to be, or parked: no run of it is wanted."""
    return c.has("resolved") and (ledger.phase == CLOSED or ledger.winner != "")


def dead_letter(s: State, c: Config, entry: Entry, ledger: Ledger) -> State:
    """Dead letter, result and XACK in one step."""
    s = s._replace(entries=s.entries - {entry}, letters=s.letters | {entry.publish})
    return send_result(s, ledger, "uncertain" if c.at_most_once else "dead")


def counted(c: Config, ledger: Ledger, entry: Entry) -> int:
    """Deliveries so far, this entry's included."""
    return max(ledger.runs, entry.carried + entry.given) if c.has("counter") else max(entry.carried, entry.given)


# ----------------------------------------------------------------------------------------------------------------------------------- R4


def _read(s: State, c: Config, worker: str, old: Entry) -> Steps:
    """XREADGROUP or XAUTOCLAIM, and at once R4. A worker that dies in between has the entry with nothing done: as if its lease had run out."""
    entry = old._replace(owner=worker, given=old.given + 1, leased=True)
    s = s._replace(entries=s.entries - {old} | {entry})
    ledger, what = known(s, c, entry.publish), f"{worker} {'claims' if old.owner else 'reads'} {entry.publish}"
    gone = s._replace(entries=s.entries - {entry})
    if worker == FOREIGN:
        yield Step(what, _start(s, c, Run(worker, entry.id, entry.publish, 0)))
        return
    if s.faults and "worker dies" in c.may:
        yield Step(f"{what}, and dies before R4", s.fault()._replace(entries=s.entries - {entry} | {entry._replace(leased=False)}), fair=False)
    if resolved(ledger, c):
        yield Step(f"{what}: resolved", gone)
        return
    if ledger.cancel and c.has("ledger"):
        yield Step(f"{what}: cancelled", send_result(gone, ledger, "cancelled"))
        return
    delivery = max(ledger.runs + 1, entry.carried + entry.given) if c.has("counter") else max(entry.carried + 1, entry.given)
    used_up = delivery > c.deliveries
    if "expiry" in c.may and not (used_up and c.at_most_once and c.has("uncertain")):
        after = send_result(gone, ledger, "expired")
        if c.at_most_once and s.started_times(entry.publish):
            after = after.breaks(f"I11 {entry.publish} is called expired, and it may have run")
        yield Step(f"{what}: expired", after)
    if used_up:
        yield Step(f"{what}: dead letter", dead_letter(s, c, entry, ledger))
        return
    ledger = ledger._replace(runs=delivery, token=ledger.token + 1)
    s = s.put(known(s, c, entry.publish), ledger)
    yield Step(f"{what}, run {ledger.token}", _start(s, c, Run(worker, entry.id, entry.publish, ledger.token)))


def _start(s: State, c: Config, run: Run) -> State:
    runs, times = s.runs | {run}, s.started_times(run.publish) + 1
    s = s._replace(runs=runs, started=s.started | {(run.publish, times)})
    if "status" in c.may and run.worker != FOREIGN:
        s = s._replace(statuses=s.statuses | {run.publish})
    allowed = 1 if c.at_most_once else c.deliveries + s.handed_back_times(run.publish)
    if times > allowed:
        s = s.breaks(f"{'I11' if c.at_most_once else 'I5'} {run.publish} runs {times} times")
    ledger = find(s, c, run.publish)
    if run.worker != FOREIGN and ledger is not None and (ledger.phase != OPEN or ledger.winner or ledger.released):
        s = s.breaks(f"I5 {run.publish} runs after its result has begun")
    if run.publish in s.accepted and run.worker != FOREIGN:
        s = s.breaks(f"I6 {run.publish} runs, and its cancel was accepted")
    return s


# ------------------------------------------------------------------------------------------------------------------------------- R5, R6


def _fenced(s: State, c: Config, run: Run) -> Entry | None:
    for entry in s.entries:
        if entry.id == run.entry and entry.owner == run.worker and (known(s, c, run.publish).token == run.token or not c.has("token")):
            return entry
    return None


def _work(s: State, c: Config, run: Run) -> Steps:
    entry, ledger = _fenced(s, c, run), known(s, c, run.publish)
    who, gone = f"{run.worker} (run {run.token} of {run.publish})", s._replace(runs=s.runs - {run})
    if entry is None:
        yield Step(f"{who}: lost", gone)
        return
    if not run.sure:
        renewed = s._replace(entries=s.entries - {entry} | {entry._replace(leased=True)}, runs=gone.runs | {run._replace(sure=True)})
        if any(other.entry == run.entry and other.sure and other.worker != FOREIGN for other in gone.runs):
            renewed = renewed.breaks(f"I5 two runs hold a lease on {run.entry}")
        yield Step(f"{who} renews", renewed)
    elif ledger.cancel and c.has("ledger"):
        yield Step(f"{who} is told to stop", send_result(gone._replace(entries=s.entries - {entry}), ledger, "cancelled"))
    for ending in c.endings:
        yield Step(f"{who} ends: {ending}", _finish(gone, c, run, entry, ending))
    if s.faults and "stop" in c.may:
        yield _hand_back(gone.fault(), c, run, entry)


def _finish(s: State, c: Config, run: Run, entry: Entry, ending: str) -> State:
    ledger = known(s, c, run.publish)
    if ledger.token != run.token:
        s = s.breaks(f"I4 the result of run {run.token} of {run.publish} is taken while run {ledger.token} is on")
    if ending != "again":
        return send_result(s._replace(entries=s.entries - {entry}), ledger, ending)
    used = counted(c, ledger, entry) if c.has("counter") else entry.carried + 1
    if used >= c.deliveries:
        return dead_letter(s, c, entry, ledger)
    return s._replace(entries=s.entries - {entry}, delayed=s.delayed | {(run.publish, used)})


def _hand_back(s: State, c: Config, run: Run, entry: Entry) -> Step:
    """An orderly stop. What must not run twice doesn't go back once it has been taken up."""
    ledger = known(s, c, run.publish)
    if c.at_most_once and c.has("no way back"):
        return Step(f"{run.worker} stops: dead letter of {run.publish}", dead_letter(s, c, entry, ledger), fair=False)
    s = s.put(ledger, ledger._replace(runs=ledger.runs - 1, token=ledger.token + 1))
    back = entry._replace(owner="nobody", given=entry.given - 1, leased=False)
    s = s._replace(entries=s.entries - {entry} | {back}, handed_back=s.handed_back | {(run.publish, s.handed_back_times(run.publish))})
    return Step(f"{run.worker} stops and hands {run.publish} back", s, fair=False)


# ----------------------------------------------------------------------------------------------------------------------------------- S5


def _foreign(s: State, c: Config, run: Run) -> Steps:
    gone = s._replace(runs=s.runs - {run})
    if run.answered:
        yield Step(f"F acknowledges {run.publish}", gone._replace(entries=frozenset(entry for entry in s.entries if entry.id != run.entry)))
        return
    for ending in c.endings:
        if ending != "again":
            answered = gone._replace(runs=gone.runs | {run._replace(answered=True)})
            yield Step(f"F sends {ending} of {run.publish}", send_result(answered, known(s, c, run.publish), ending))
