"""R2 put_state: the one stored state of the task, and what must never happen to it."""

from __future__ import annotations

from typing import Final

from docs.protocol_model.state import DEAD_LETTERED, FAILURE, RETRY, REVOKED, SUCCESS, TERMINAL, Config, State, lineage

BEGUN: Final = 7
RANKS: Final = {"DISPATCHED": 1, "STARTED": 2, RETRY: 8, DEAD_LETTERED: 8, SUCCESS: 9, FAILURE: 9, REVOKED: 9}


def raise_mark(s: State, publish: str, seq: int, rank: int) -> State:
    """The mark only rises."""
    newest = dict(s.newest)
    newest[lineage(publish)] = max(newest.get(lineage(publish), 0), seq)
    return s._replace(mark=max(s.mark, (seq, rank)), newest=frozenset(newest.items()))


def put_state(s: State, c: Config, publish: str, seq: int, state: str) -> State:
    """Store it, or don't."""
    terminal, (owner, stored) = state in TERMINAL, s.cell
    if terminal:
        s = _ends(s, publish, state)
    if stored == SUCCESS:
        return s  # Celery's own: sticky
    if terminal and c.has("newer") and dict(s.newest).get(lineage(publish), 0) > seq:
        return s
    if not terminal and c.has("mark") and (seq, RANKS[state]) <= s.mark:
        return s
    s = raise_mark(s, publish, seq, RANKS[state])
    if owner and lineage(owner) == lineage(publish):
        if terminal and s.born.index(owner) > s.born.index(publish):
            s = s.breaks(f"I4 {state} of {publish} over {stored} of the newer {owner}")
        if not terminal and stored in TERMINAL and s.born.index(owner) >= s.born.index(publish):
            s = s.breaks(f"I2 {state} of {publish} over {stored} of {owner}")
    return s._replace(cell=(publish, state))


def _ends(s: State, publish: str, state: str) -> State:
    if any(one == publish and other != state for one, other in s.ended):
        s = s.breaks(f"I2 {publish} ends a second time: {state}")
    if state == SUCCESS and publish in s.accepted:
        s = s.breaks(f"I6 SUCCESS of {publish}, whose cancel was accepted")
    return s._replace(ended=s.ended | {(publish, state)})
