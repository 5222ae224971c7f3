"""What the management side does beside the straight way: R7 promote, R11 reap, R13 repair; and what time does."""

from __future__ import annotations

from docs.protocol_model import celery_workers
from docs.protocol_model.state import (
    CLOSED,
    OPEN,
    Config,
    Entry,
    Resolving,
    Result,
    Run,
    State,
    Step,
    Steps,
    Storing,
    find,
    known,
    send_command,
    send_result,
)
from docs.protocol_model.stream_workers import counted, dead_letter, resolved


def steps(s: State, c: Config) -> Steps:
    """What beats and clocks may do."""
    for publish, carried in s.delayed:
        promoted = s._replace(delayed=s.delayed - {(publish, carried)})
        yield Step(f"R7 promote {publish}", send_command(promoted, known(s, c, publish), carried))
    yield from _leases(s, c)
    for entry in s.entries:
        if entry.owner and not entry.leased and "reap" in c.may and c.has("reap"):
            yield Step(f"R11 reap {entry.publish}", _reap(s, c, entry))
        if s.faults and "command is lost" in c.may:
            yield Step(f"the command of {entry.publish} is lost", s.fault()._replace(entries=s.entries - {entry}), fair=False)
    if "command is lost" in c.may:
        yield from _repair(s, c)
    if c.has("settle"):
        yield from celery_workers.settle(s, c)
    yield from _retry_again(s, c)
    if s.faults and "long wait" in c.may:
        yield from _forget(s, c)


def _leases(s: State, c: Config) -> Steps:
    """A lease that nobody renews runs out by itself. One that is renewed does when its worker stands still: a fault."""
    for entry in s.entries:
        if entry.owner and entry.leased:
            over = s._replace(entries=s.entries - {entry} | {entry._replace(leased=False)})
            runs = [run for run in s.runs if run.entry == entry.id and run.worker == entry.owner and run.sure]
            if not runs:
                yield Step(f"the lease on {entry.publish} runs out", over)
            elif s.faults and "pause" in c.may:
                unsure = s.runs - {runs[0]} | {runs[0]._replace(sure=False)}
                yield Step(f"{entry.owner} stands still with {entry.publish}", over.fault()._replace(runs=unsure), fair=False)


def _reap(s: State, c: Config, entry: Entry) -> State:
    """Workers that can't claim: the entry goes back on the stream, counted, or is a dead letter."""
    ledger, gone = known(s, c, entry.publish), s._replace(entries=s.entries - {entry})
    if resolved(ledger, c):
        return gone
    if ledger.cancel:
        return send_result(gone, ledger, "cancelled")
    used = counted(c, ledger, entry)
    if used >= c.deliveries:
        return dead_letter(s, c, entry, ledger)
    return send_command(gone, ledger._replace(runs=used), used)


def _repair(s: State, c: Config) -> Steps:
    """R13, one look at everything. A foreign worker may have run what was lost, so it counts."""
    for ledger in s.ledgers:
        looks = c.has("repair")
        if ledger.phase != OPEN or ledger.winner or (looks and any(result.publish == ledger.publish for result in s.results)):
            continue
        if any(entry.publish == ledger.publish for entry in s.entries) or any(one == ledger.publish for one, _ in s.delayed):
            continue
        again = ledger._replace(runs=ledger.runs + 1)
        if again.runs >= c.deliveries:
            yield Step(f"R13 repair {ledger.publish}: dead letter", dead_letter(s, c, Entry("", ledger.publish), again))
        else:
            after = send_command(s, again, again.runs)
            if any(result.publish == ledger.publish for result in s.results):
                after = after.breaks(f"I5 {ledger.publish} is sent again, and it has a result")
            yield Step(f"R13 repair {ledger.publish}", after)


def _retry_again(s: State, c: Config) -> Steps:
    """A lost retry: its parent is in `jobs:retrying`, and overdue. It is sent again under the same publish id."""
    for ledger in s.ledgers:
        child = ledger.publish + "+"
        if ledger.retrying and child in s.lost and child not in s.broker and find(s, c, child) is None:
            yield Step(f"{child} is sent again", s._replace(broker=s.broker | {child}, lost=s.lost - {child}))


def _forget(s: State, c: Config) -> Steps:
    """TTLs. A tombstone outlives what is on its way and what may be sent again, but not the countdown of a retry; the task's own outlives every tombstone."""
    unresolved = {ledger.publish + "+" for ledger in s.ledgers if ledger.phase != CLOSED}
    busy: list[Storing | Entry | Run | Result | Resolving] = [*s.storing, *s.entries, *s.runs, *s.results, *s.resolving]
    on_its_way = s.broker | unresolved | {each.publish for each in busy}
    for ledger in s.ledgers:
        if ledger.phase == CLOSED and not ledger.retrying and ledger.publish not in on_its_way:
            yield Step(f"the tombstone of {ledger.publish} goes", s.fault()._replace(ledgers=s.ledgers - {ledger}), fair=False)
    kept = any(ledger.keeps_counter if c.has("run numbers") else ledger.phase == OPEN for ledger in s.ledgers)
    if s.counter and not kept and (all(ledger.keeps_counter for ledger in s.ledgers) or not c.has("outlives")):
        gone = s.fault()._replace(counter=0, ends=frozenset(), pardons=frozenset())
        yield Step("the run numbers of the task go, and how its lineages ended", gone, fair=False)
