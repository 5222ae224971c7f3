"""S3: R8 begin, the mark, Celery's own effects in their order, R9 resolved or R15 park; a replay does all of it again. S4: a status."""

from __future__ import annotations

from docs.protocol_model.operators import release
from docs.protocol_model.state import (
    CLOSED,
    DEAD_LETTERED,
    FAILURE,
    OPEN,
    PARKED,
    RETRY,
    REVOKED,
    SUCCESS,
    Config,
    Ledger,
    Resolving,
    Result,
    State,
    Step,
    Steps,
    find,
    lineage,
    retries,
)
from docs.protocol_model.task_state import BEGUN, put_state, raise_mark

CALLBACKS, PART, CHILD, STARTED, PARK, CLOSE = "callbacks", "chord part", "retry's message", "STARTED", "R15 park", "R9 "


def steps(s: State, c: Config) -> Steps:
    """What bridges may do."""
    for bridge in c.bridges:
        if any(one.bridge == bridge and one.leased for one in s.resolving):
            continue
        for publish in s.statuses:
            yield _look_at_status(s._replace(statuses=s.statuses - {publish}), c, bridge, publish)
        for result in s.results:
            if not result.leased:
                yield _begin(s, c, bridge, result)
    for one in s.resolving:
        rest = s.resolving - {one} | ({one._replace(todo=one.todo[1:])} if one.todo[1:] else frozenset())
        who = one.bridge if one.leased else f"{one.bridge}, late"
        yield Step(f"{who}: {one.todo[0]} of {one.publish}", _effect(s._replace(resolving=rest), c, one, one.todo[0]))
        if s.faults and one.leased and one.result:
            free = s.fault()._replace(results=frozenset(each._replace(leased=False) if each.id == one.result else each for each in s.results))
            if "bridge dies" in c.may:
                yield Step(f"{one.bridge} dies before {one.todo[0]} of {one.publish}", free._replace(resolving=s.resolving - {one}), fair=False)
            if "bridge pauses" in c.may:
                paused = s.resolving - {one} | {one._replace(leased=False)}
                yield Step(f"{one.bridge} pauses before {one.todo[0]} of {one.publish}", free._replace(resolving=paused), fair=False)


def _look_at_status(s: State, c: Config, bridge: str, publish: str) -> Step:
    """S4: a look at the ledger, and then the state; another bridge may come in between."""
    ledger = find(s, c, publish)
    if ledger is None or ledger.phase != OPEN or ledger.winner:
        return Step(f"{bridge} drops the start of {publish}", s)
    one = Resolving(bridge, "", publish, ledger.seq, (STARTED,))
    return Step(f"{bridge} reads the start of {publish}", s._replace(resolving=s.resolving | {one}))


def _begin(s: State, c: Config, bridge: str, result: Result) -> Step:
    """R8: the first result of an open publish wins; a replay is of the winner."""
    ledger = find(s, c, result.publish)
    if ledger is None or ledger.phase != OPEN or (ledger.winner not in {"", result.id} and c.has("first")):
        return Step(f"{bridge}: {result.status} of {result.publish} is superseded", s._replace(results=s.results - {result}))
    s = s.put(ledger, ledger._replace(winner=result.id))
    s = raise_mark(s, ledger.publish, ledger.seq, BEGUN)
    s = s._replace(results=s.results - {result} | {result._replace(owner=bridge, leased=True)})
    todo = _plan(s, c, ledger, result)
    s = s._replace(resolving=s.resolving | {Resolving(bridge, result.id, ledger.publish, ledger.seq, todo)})
    return Step(f"{bridge} R8 begins {result.status} of {result.publish}{' again' if result.owner else ''}", s)


def _plan(s: State, c: Config, ledger: Ledger, result: Result) -> tuple[str, ...]:
    """Celery 5.7's own order."""
    status = "cancelled" if ledger.cancel else result.status
    if status == "ok":
        if result.owner and not c.has("replay") and s.cell == (ledger.publish, SUCCESS):
            return (CLOSE + SUCCESS,)
        return (CALLBACKS, SUCCESS, PART, CLOSE + SUCCESS)
    if status in {"cancelled", "expired"}:
        return (REVOKED, PART, CLOSE + REVOKED)
    is_dead = status in {"dead", "uncertain"}
    if retries(ledger.publish) < c.retries and not ledger.released and not (status == "uncertain" and c.has("not retried")):
        return (CHILD, RETRY, CLOSE + RETRY)
    if is_dead and c.park and not (ledger.released and c.has("for good")):
        return (DEAD_LETTERED, PARK) if c.has("part waits") else (DEAD_LETTERED, PART, PARK)
    return (FAILURE, PART, CLOSE + FAILURE)


def _effect(s: State, c: Config, one: Resolving, what: str) -> State:
    if what == CALLBACKS:
        return _call(s, c, one)
    if what == PART:
        return _count_part(s, c, one)
    if what == CHILD:
        return _send_retry(s, c, one)
    if what == PARK:
        return _park(s, c, one)
    if what.startswith(CLOSE):
        return _close(s, c, one, what.removeprefix(CLOSE))
    return put_state(s, c, one.publish, one.seq, what)


def _call(s: State, c: Config, one: Resolving) -> State:
    """Links and the chain's next: their publish ids are derived from this one's."""
    name = one.publish if c.has("derived") else f"{one.publish} {one.bridge} {len(s.calls)}"
    if any(lineage(call) == lineage(name) and call.split()[0] == one.publish and call != name for call in s.calls):
        s = s.breaks(f"I3 the callback of {one.publish} is sent twice under two publish ids")
    return s._replace(calls=s.calls | {name})


def _count_part(s: State, c: Config, one: Resolving) -> State:
    """Celery counts (task id, index) once in a chord; two publishes of one lineage that count are two outcomes of one part."""
    ledger = find(s, c, one.publish)
    if ledger is not None and not ledger.in_chord:
        return s
    if any(lineage(part) == lineage(one.publish) and part != one.publish for part in s.parts):
        s = s.breaks(f"I10 the chord part of {lineage(one.publish)} is counted a second time, by {one.publish}")
    return s._replace(parts=s.parts | {one.publish})


def _send_retry(s: State, c: Config, one: Resolving) -> State:
    child = one.publish + "+"
    if child in s.sent and not c.has("derived"):
        s = s.breaks(f"I3 the retry of {one.publish} is sent twice under two publish ids")
    if any(result.id == one.result and result.status == "uncertain" for result in s.results):
        s = s.breaks(f"I11 {one.publish}, whose outcome is uncertain, is retried")
    return s._replace(broker=s.broker | {child}, sent=s.sent | {child}, lost=s.lost - {child})


def _close(s: State, c: Config, one: Resolving, outcome: str) -> State:
    """R9. A parent whose retry isn't dispatched yet is kept, so that a lost message is found."""
    s = s._replace(results=frozenset(result for result in s.results if result.id != one.result))
    ledger = find(s, c, one.publish)
    if ledger is None or ledger.phase != OPEN or (ledger.winner != one.result and c.has("first")):
        return s
    if not c.has("tombstone"):
        return s._replace(ledgers=s.ledgers - {ledger})
    outcome = ledger.came or outcome
    waits = outcome == RETRY and c.has("retrying") and (find(s, c, one.publish + "+") is None or not c.has("early child"))
    s = s.ends_lineage(ledger, outcome)
    return s.put(ledger, ledger._replace(phase=CLOSED, outcome=outcome, retrying=waits))


def _park(s: State, c: Config, one: Resolving) -> State:
    """R15: not its end. The result is kept in the ledger. A revoke that came too late for R10 is obeyed now."""
    kept = next((result.status for result in s.results if result.id == one.result), "dead")
    s = s._replace(results=frozenset(result for result in s.results if result.id != one.result))
    ledger = find(s, c, one.publish)
    if ledger is None or ledger.phase == PARKED or ((ledger.phase != OPEN or ledger.winner != one.result) and c.has("park once")):
        return s
    if c.has("late revoke") and s.flag and (lineage(ledger.publish), s.flag) not in s.pardons:
        return release(s, c, ledger, cancelled=True)
    return s.put(ledger, ledger._replace(phase=PARKED, kept=kept))
