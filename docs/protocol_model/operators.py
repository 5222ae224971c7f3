"""R10 cancel, R12 redrive, R16 release: what people ask for."""

from __future__ import annotations

from docs.protocol_model.state import (
    CLOSED,
    FAILURE,
    OPEN,
    PARKED,
    REDRIVEN,
    TERMINAL,
    Config,
    Ledger,
    State,
    Step,
    Steps,
    Storing,
    find,
    lineage,
    of_lineage,
    send_command,
    send_result,
)

OPERATOR = "operator"


def steps(s: State, c: Config) -> Steps:
    """What operators and callers may ask for."""
    if s.revoking:
        yield _revoke_next(s, c, s.revoking[0])
    if not s.asks:
        return
    if "revoke" in c.may and not s.revoking and s.sent:
        yield _revoke(s.ask(), c)
    if "redrive" in c.may:
        for publish in s.letters:
            after = redrive(s, c, publish)
            if after is not None:
                yield Step(f"R12 redrive the dead letter of {publish}", after.ask(), fair=False)
    if "release" in c.may:
        for ledger in s.ledgers:
            if ledger.phase == PARKED or not c.has("parked only"):
                yield Step(f"R16 release {ledger.publish} as failed", release(s.ask(), c, ledger, cancelled=False), fair=False)


# ---------------------------------------------------------------------------------------------------------------------------------- R10


def _revoke(s: State, c: Config) -> Step:
    """The flag first: what isn't dispatched yet is cancelled by it. Then each publish that is known, until there is no new one."""
    s = s._replace(flag=s.flag + 1 if c.has("ledger") else 0)
    if c.has("ledger"):
        waiting = frozenset(publish for publish in s.sent if publish not in s.born and publish not in s.lost)
        return Step("revoke: the flag is set", s._replace(accepted=s.accepted | waiting, revoking=s.born), fair=False)
    return Step(
        "revoke: accepted", s._replace(accepted=s.accepted | {one for one in s.sent if not any(one == ended for ended, _ in s.ended)}), fair=False
    )


def _revoke_next(s: State, c: Config, publish: str) -> Step:
    ledger = find(s, c, publish)
    late = tuple(one for one in s.born[s.born.index(s.revoking[-1]) + 1 :]) if s.revoking else ()
    s = s._replace(revoking=(*(s.revoking or ())[1:], *late) or None)
    if ledger is not None and ledger.phase == PARKED and "release" in c.may:
        return Step(f"R10 {publish} is parked: R16 release as cancelled", release(s, c, ledger, cancelled=True))
    if ledger is None or ledger.phase != OPEN or (ledger.winner and c.has("too late")):
        return Step(f"R10 cancel {publish}: too late", s)
    s = s.put(ledger, ledger._replace(cancel=True))
    return Step(f"R10 cancel {publish}: accepted", s._replace(accepted=s.accepted | {publish}))


# ---------------------------------------------------------------------------------------------------------------------------------- R12


def redrive(s: State, c: Config, publish: str) -> State | None:
    """A dead letter's publish is run again under a publish id that is derived from the letter. None: refused."""
    ledger, new = find(s, c, publish), publish + "'"
    if ledger is None:
        return None
    known = find(s, c, new)
    if known is not None and c.has("once a letter"):
        return s._replace(storing=s.storing | {Storing(OPERATOR, new, known.seq)}) if "repeat" in c.may else None
    if publish in s.fates and c.has("once a letter"):
        return None
    while find(s, c, new) is not None:
        new += "'"
    kin = of_lineage(s, publish)
    if ledger.phase == PARKED and ledger == kin[-1]:
        if c.has("redriven"):
            s = s.put(ledger, ledger._replace(phase=CLOSED, outcome=REDRIVEN))
        return _run_again(s, c, publish, Ledger(new, s.counter + 1, in_chord=ledger.in_chord))
    if not _failed_for_good(s, kin, ledger, c):
        return None
    return _run_again(s, c, publish, Ledger(new, s.counter + 1, in_chord=ledger.in_chord and not c.has("part counted")))


def _failed_for_good(s: State, kin: list[Ledger], ledger: Ledger, c: Config) -> bool:
    if ledger.phase != CLOSED or (c.has("nothing live") and any(each.phase != CLOSED for each in kin)):
        return False
    if c.has("remembered"):
        ended = {outcome for name, _, outcome in s.ends if name == lineage(ledger.publish)}
    else:
        ended = {[each for each in kin if each.phase == CLOSED][-1].outcome}
    return FAILURE in ended or not c.has("newest failed")


def _run_again(s: State, c: Config, publish: str, new: Ledger) -> State:
    s = _check_redrive(s, publish, new)
    s = s.put(None, new)._replace(counter=new.seq, born=(*s.born, new.publish), storing=s.storing | {Storing(OPERATOR, new.publish, new.seq)})
    s = s._replace(pardons=s.pardons | {(lineage(publish), s.flag)}) if c.has("pardon") else s._replace(flag=0)
    return send_command(s, new)


def _check_redrive(s: State, publish: str, new: Ledger) -> State:
    """I9. A parent whose retry was dispatched is not live: it is only being closed."""
    live = [each.publish for each in of_lineage(s, publish) if each.phase != CLOSED and each.publish + "+" not in s.born]
    live += [one for one in s.sent if one not in s.born and lineage(one) == lineage(publish)]
    if any(letter == publish for letter, _ in s.redriven):
        s = s.breaks(f"I9 the dead letter of {publish} is redriven a second time")
    if any(each.seq == new.seq for each in s.ledgers):
        s = s.breaks(f"R1 run number {new.seq} is given to {new.publish} too")
    if live:
        s = s.breaks(f"I9 {publish} is redriven as {new.publish} while {live[0]} is live")
    if any(lineage(one) == lineage(publish) and state in TERMINAL - {FAILURE} for one, state in s.ended):
        s = s.breaks(f"I9 {publish} is redriven, and its lineage hasn't failed")
    return s._replace(redriven=s.redriven | {(publish, new.publish)}, fates=s.fates | {publish})


# ---------------------------------------------------------------------------------------------------------------------------------- R16


def release(s: State, c: Config, ledger: Ledger, *, cancelled: bool) -> State:
    """Parked -> open again, and won by its result, which is sent again."""
    if cancelled:
        s = s._replace(accepted=s.accepted | {ledger.publish})
    winner = f"{ledger.publish}#{ledger.results + 1}" if c.has("sent again") else ledger.winner
    back = ledger._replace(phase=OPEN, winner=winner, released=True, cancel=ledger.cancel or cancelled)
    s = s._replace(ledgers=s.ledgers - {ledger} | {back})
    return send_result(s, back, "cancelled" if cancelled else ledger.kept or "dead")
