"""What must hold where nothing happens by itself any more (I1, I3, I8, I10). The others are looked at where a ghost changes."""

from __future__ import annotations

from docs.protocol_model.state import CLOSED, OPEN, PARKED, REDRIVEN, RETRY, SUCCESS, TERMINAL, Config, Ledger, State, find, lineage, of_lineage


def at_rest(s: State, c: Config) -> str:
    """The first invariant that doesn't hold, or ''."""
    return _each_publish_ends(s, c) or _each_lineage_is_counted(s) or _state_is_the_newest_runs(s) or _nothing_is_left(s)


def _each_publish_ends(s: State, c: Config) -> str:
    for ledger in s.ledgers:
        if ledger.phase == OPEN:
            return f"I1 the ledger of {ledger.publish} stays open"
        if ledger.phase == PARKED and (ledger.released or any(one == ledger.publish for one, _ in s.ended)):
            return f"I1 {ledger.publish} is parked again after its end"
        if ledger.phase == PARKED and s.flag and (lineage(ledger.publish), s.flag) not in s.pardons:
            return f"I6 {ledger.publish} was revoked, and is parked"
        if ledger.retrying and (ledger.publish + "+") in s.born:
            return f"I8 {ledger.publish} is kept for its retry for ever, which was dispatched"
    for publish in s.sent:
        if publish in s.lost and publish not in s.born:
            parent = find(s, c, publish[:-1])
            if parent is None or not parent.retrying:
                return f"I1 the message of {publish} is lost, and nobody knows"
        elif not _has_ended(s, c, publish):
            return f"I1 {publish} never ends"
    return ""


def _has_ended(s: State, c: Config, publish: str) -> bool:
    ledger = find(s, c, publish)
    if ledger is not None and (ledger.phase == PARKED or ledger.outcome in {RETRY, REDRIVEN}):
        return True
    return any(one == publish for one, _ in s.ended) or publish + "+" in s.sent or publish + "'" in s.born


def _each_lineage_is_counted(s: State) -> str:
    for name in {lineage(publish) for publish in s.born}:
        kin = of_lineage(s, name)
        waits = any(ledger.phase == PARKED or ledger.retrying for ledger in kin)
        counted = any(lineage(part) == name for part in s.parts)
        ended = any(lineage(one) == name for one, _ in s.ended)
        if ended and not counted:
            return f"I3 the chord part of {name} is never counted"
        if waits and counted and not any(not ledger.in_chord for ledger in kin):
            return f"I10 the chord part of {name} is counted, and {name} is parked"
        for publish in s.born:
            if (publish, SUCCESS) in s.ended and not any(call.split()[0] == publish for call in s.calls):
                return f"I3 the callbacks of {publish} are never sent"
    return ""


def _state_is_the_newest_runs(s: State) -> str:
    owner, stored = s.cell
    last = max(s.ledgers, key=lambda ledger: ledger.seq, default=None)
    if last is None or stored == SUCCESS or len({lineage(publish) for publish in s.born}) > 1 or owner not in {each.publish for each in s.ledgers}:
        return "" if stored in TERMINAL or any(map(_waits, s.ledgers)) or last is None else f"I1 the state stays {stored}"
    if last.phase == CLOSED and last.outcome in TERMINAL and (owner, stored) != (last.publish, last.outcome):
        return f"I4 {stored} of {owner} is stored, and {last.outcome} of {last.publish} is the newest"
    return "" if stored in TERMINAL or _waits(last) else f"I1 the state stays {stored}"


def _waits(ledger: Ledger) -> bool:
    return ledger.phase == PARKED or ledger.retrying


def _nothing_is_left(s: State) -> str:
    return "I8 a message is left" if s.entries or s.delayed or s.results else ""
