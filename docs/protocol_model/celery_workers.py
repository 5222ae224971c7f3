"""S1: a Celery worker has a message: R3 dispatch, then put_state(DISPATCHED), then the acknowledgement."""

from __future__ import annotations

from docs.protocol_model.state import (
    FAILURE,
    OPEN,
    RETRY,
    Config,
    Ledger,
    State,
    Step,
    Steps,
    Storing,
    find,
    lineage,
    retries,
    send_command,
    send_result,
)
from docs.protocol_model.task_state import put_state

CELERY = "celery"


def steps(s: State, c: Config) -> Steps:
    """What Celery workers and the broker may do."""
    for publish in s.broker:
        yield from _take(s._replace(broker=s.broker - {publish}), c, publish)
    for one in s.storing:
        done = s._replace(storing=s.storing - {one})
        yield Step(f"put_state(DISPATCHED) of {one.publish}", put_state(done, c, one.publish, one.seq, "DISPATCHED"))
        if s.faults and one.who + " dies" in c.may:
            back = done.broker | {one.publish} if one.who == CELERY and c.has("acknowledge") else done.broker
            yield Step(f"{one.who} dies before put_state(DISPATCHED) of {one.publish}", done.fault()._replace(broker=back), fair=False)
    if s.faults and "redelivery" in c.may:
        for publish in s.born:
            if publish not in s.broker and publish in s.sent:
                yield Step(f"the broker delivers {publish} again", s.fault()._replace(broker=s.broker | {publish}), fair=False)


def _take(s: State, c: Config, publish: str) -> Steps:
    if publish in s.failed:
        yield Step(f"the payload of {publish} can't be built, again", s)
        return
    ledger, after = dispatch(s, c, publish)
    yield Step(f"R3 dispatch {publish}", after._replace(storing=after.storing | {Storing(CELERY, publish, ledger.seq)}))
    if s.faults and "celery dies" in c.may and not c.has("acknowledge"):
        yield Step(f"a Celery worker dies before it dispatches {publish}", s.fault(), fair=False)
    if s.faults and "message is lost" in c.may and retries(publish):
        yield Step(f"the message of {publish} is lost", s.fault()._replace(lost=s.lost | {publish}), fair=False)
    if s.faults and "payload fails" in c.may and publish not in s.born:
        yield from _fail(s.fault(), c, publish)


def dispatch(s: State, c: Config, publish: str) -> tuple[Ledger, State]:
    """R3: a publish that is known is a duplicate; else ledger and command, or a `cancelled` result. A retry's parent isn't kept any longer."""
    if publish.endswith("+"):
        s = no_longer_kept(s, publish[:-1])
    ledger = find(s, c, publish)
    if ledger:
        return ledger, s
    seq = s.counter + 1
    cancelled = s.flag > 0 and c.has("ledger") and (lineage(publish), s.flag) not in s.pardons
    parent = find(s, c, publish.removesuffix("+"))
    ledger = Ledger(publish, seq, cancel=cancelled, in_chord=parent is None or parent.in_chord)
    if any(each.seq == seq for each in s.ledgers):
        s = s.breaks(f"R1 run number {seq} is given to {publish} too")
    if publish in s.born:
        s = s.breaks(f"I8 {publish} is dispatched a second time")
    s = s.put(None, ledger)._replace(counter=seq, born=(*s.born, publish))
    return ledger, send_result(s, ledger, "cancelled") if cancelled else send_command(s, ledger)


def no_longer_kept(s: State, parent: str) -> State:
    """Out of `jobs:retrying`, with the TTL of a tombstone."""
    for ledger in s.ledgers:
        if ledger.publish == parent and ledger.retrying:
            return s.put(ledger, ledger._replace(retrying=False))
    return s


def _fail(s: State, c: Config, publish: str) -> Steps:
    """Celery's own tracer ends a retry in phase 1: no ledger, no mark. Then the parent is told, unless the Celery worker dies before that.

    That RETRY of the parent may be stored after it is a race of Celery's own, and left out.
    """
    parent = find(s, c, publish[:-1])
    if parent is None or (parent.phase == OPEN and s.cell != (parent.publish, RETRY)):
        return
    s = s._replace(
        cell=(publish, FAILURE), born=(*s.born, publish), failed=s.failed | {publish}, ended=s.ended | {(publish, FAILURE)}, parts=s.parts | {publish}
    )
    yield Step(f"the payload of {publish} can't be built: FAILURE by Celery itself, which dies over it", s, fair=False)
    if parent.phase == OPEN:
        s = s.put(parent, parent._replace(came=FAILURE))
    elif parent.retrying:
        s = s.put(parent, parent._replace(retrying=False, outcome=FAILURE)).ends_lineage(parent, FAILURE)
    yield Step(f"the payload of {publish} can't be built: FAILURE by Celery itself", s, fair=False)


def settle(s: State, c: Config) -> Steps:
    """The reconciler looks at `jobs:retrying`: a retry that ended without R3 (its task's state is terminal) keeps its parent no longer."""
    owner, state = s.cell
    for ledger in s.ledgers:
        if ledger.retrying and owner == ledger.publish + "+" and state == FAILURE and find(s, c, owner) is None:
            after = s.put(ledger, ledger._replace(retrying=False, outcome=state)).ends_lineage(ledger, state)
            yield Step(f"{ledger.publish} is no longer kept: {owner} ended without a dispatch", after)
