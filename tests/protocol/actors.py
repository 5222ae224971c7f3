"""Everybody who takes part, as generators: a `yield` stands between any two atomic steps, and whoever isn't resumed has crashed or hangs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from bridge.states import BEGUN_RANK, DEAD_LETTERED, DISPATCHED, PROGRESS
from streams.bus.topology import MANAGEMENT_CONSUMERS
from streams.jobs import running
from streams.jobs.messages import DeadReason, Result, ResultStatus, Status, StatusKind
from streams.jobs.running import Delivery
from tests.protocol.scene import LONG, Row
from tests.protocol.world import World, attempt_of, retry_of, task_of

Actor = Iterator[None]
LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)


def celery_worker(world: World, publish: str, pick: Random) -> Actor:
    """S1: dispatch, DISPATCHED, and only then the acknowledgement."""
    if publish in world.ended_by_celery:
        world.broker.remove(publish)  # it fails again
        return
    world.dispatch(publish, expired=pick.random() < 0.05)
    yield
    world.put(publish, DISPATCHED)
    yield
    if publish in world.broker:
        world.broker.remove(publish)
    world.say(f"message of {publish} acknowledged")


def stream_worker(world: World, delivery: Delivery, pick: Random) -> Actor:
    """S2. Replies get lost at times: the same step is sent again and must answer the same."""
    scene, publish, who = world.scene, str(delivery.command.publish_id), delivery.consumer
    world.say(f"{who} has {publish} ({delivery.entry})")
    yield
    if pick.random() < 0.05:
        verdict = scene.dead_letter((delivery.entry, delivery.command.to_redis_dict()), consumer=who)
        world.say(f"{who} can't run {publish}: {verdict}")
        world.dead += verdict == "dead_lettered"
        return
    if publish in world.overdue:
        delivery = replace(delivery, command=delivery.command.model_copy(update={"expires_at": LONG_AGO}))
    nonce = scene.nonce()
    taken = scene.take_up(delivery, nonce=nonce, max_deliveries=world.rules.max_deliveries)
    world.say(f"{who} takes up {publish}: {taken.verdict} {taken.token}")
    world.dead += taken.verdict == "dead_lettered"
    if taken.verdict != "run":
        never_ran = taken.verdict != "expired" or not world.rules.is_once(publish) or not world.runs[publish]
        world.require(never_ran, "I11", f"{publish} is called expired, and it may have run")
        return
    world.check_run(publish)
    world.tokens[publish] = taken.token
    world.count_run(publish)
    runs = world.runs[publish]
    world.require(taken.delivery >= runs, "I5", f"delivery {taken.delivery} of {publish}, which has run {runs} times")
    if pick.random() < 0.2:
        world.require(scene.take_up(delivery, nonce=nonce) == taken, "R4", f"a repeated take_up of {publish} answers differently")
    told_to_stop = False
    for _ in range(pick.choice((0, 1, 1, 2))):
        yield
        held = heartbeat(world, delivery, taken.token, progress=pick.random() < 0.5)
        if held == "lost":
            return
        told_to_stop = told_to_stop or held == "cancelled"
    yield
    ending = "cancelled" if told_to_stop else pick.choice(world.rules.endings)
    if ending == "back" and world.rules.is_once(publish):
        ending = "again"  # what became of it isn't known: `workers.run` doesn't hand it back
    again = end_run(world, delivery, taken.token, ending, pick)
    if pick.random() < 0.2 and ending != "back" and again != "lost":
        repeated = end_run(world, delivery, taken.token, ending, pick, repeat=True)
        world.require(repeated == again, "R6", f"{ending} of {publish} answers {again}, and repeated {repeated}")


def heartbeat(world: World, delivery: Delivery, token: str, *, progress: bool) -> str:
    command = delivery.command
    status = Status(task_id=command.task_id, attempt=command.attempt, publish_id=command.publish_id, kind=StatusKind.PROGRESS, current=1)
    owns = world.owns(delivery)
    held = world.scene.do(running.heartbeat(world.scene.keys, delivery, token, status if progress else None))
    world.say(f"{delivery.consumer} heartbeat of {command.publish_id}: {held}")
    if held != "lost":
        world.check_fence(delivery, token, "the heartbeat", owns=owns)
    return held


def end_run(world: World, delivery: Delivery, token: str, ending: str, pick: Random, *, repeat: bool = False) -> str:
    scene, publish = world.scene, str(delivery.command.publish_id)
    owns = world.owns(delivery)
    if ending == "back":
        verdict, good = scene.hand_back(delivery, token), "handed_back"
        if verdict == good:
            world.runs[publish] -= 1
            counted = int(scene.run(publish)["runs"])
            world.require(counted >= world.runs[publish], "I5", f"{counted} runs of {publish} are counted, of {world.runs[publish]}")
    elif ending == "again":
        delay = LONG if pick.random() < 0.3 else timedelta(0)
        verdict, good = scene.retry_later(delivery, token, delay=delay, max_deliveries=world.rules.max_deliveries), "delayed"
        world.dead += verdict == "dead_lettered" and not repeat
    else:
        status = {"ok": ResultStatus.SUCCEEDED, "fail": ResultStatus.FAILED, "cancelled": ResultStatus.CANCELLED}[ending]
        verdict, good = scene.finish(delivery, token, status), "finished"
    world.say(f"{delivery.consumer} ends {publish} ({ending}): {verdict}")
    if verdict in {good, "dead_lettered"} and not repeat:
        world.check_fence(delivery, token, ending, owns=owns)
        if verdict in {"finished", "dead_lettered"}:
            world.answered.add(publish)
    return verdict


def foreign_worker(world: World, delivery: Delivery, pick: Random) -> Actor:
    """S5: a result, then the acknowledgement; no fence, and an echo of the run number alone."""
    world.count_run(str(delivery.command.publish_id))
    world.say(f"F reads {delivery.command.publish_id}")
    yield
    command, status = delivery.command, pick.choice((ResultStatus.SUCCEEDED, ResultStatus.FAILED))
    result = Result(task_id=command.task_id, attempt=command.attempt, status=status)
    fields: dict[Any, Any] = {**result.to_redis_dict()}
    world.scene.client.xadd(world.scene.results, fields)
    world.say(f"F sends {status} of {command.publish_id}")
    yield
    world.scene.client.xack(world.scene.commands, world.scene.service.group, delivery.entry)
    world.say(f"F acknowledges {command.publish_id}")


def bridge(world: World, row: Row, pick: Random) -> Actor:
    """S3, in Celery's own order."""
    entry, fields = row
    yield
    publish = world.publish_of(fields)
    begun = world.begin(publish, entry)
    if begun.verdict != "won":
        return
    yield
    world.raise_mark(publish, BEGUN_RANK)
    yield
    status = ResultStatus.CANCELLED if begun.cancelled else ResultStatus(fields["status"])
    dead, uncertain = status is ResultStatus.DEAD_LETTERED, fields.get("reason") == DeadReason.UNCERTAIN
    if status is ResultStatus.SUCCEEDED:
        outcome = "SUCCESS"
        world.callbacks.add(publish)
        yield
    elif status in {ResultStatus.CANCELLED, ResultStatus.EXPIRED}:
        outcome = "REVOKED"
    elif attempt_of(publish) < world.rules.max_retries and not uncertain and not begun.released:
        outcome = "RETRY"
        world.send(retry_of(publish))
        world.retried.add(publish)
        yield
    elif dead and world.rules.park and not begun.released:
        yield from park(world, publish, entry)
        return
    else:
        outcome = "FAILURE"
    world.put(publish, outcome)
    yield
    if outcome != "RETRY":
        world.count_part(publish)
        yield
    world.resolved(publish, entry, outcome, dead=dead)


def park(world: World, publish: str, entry: str) -> Actor:
    """R15, after DEAD_LETTERED is stored."""
    world.put(publish, DEAD_LETTERED)
    yield
    expected = "superseded" if world.winners[publish] != entry else "repeated"
    if expected == "repeated" and publish not in world.closed and publish not in world.parked:
        expected = "cancelled" if world.is_flagged(publish) else "parked"
    verdict = world.scene.park(publish, entry, task=task_of(publish))
    world.say(f"park {publish}: {verdict}")
    world.require(verdict == expected, "R15", f"{publish} is {verdict}, not {expected}")
    pending = {row["message_id"] for row in world.scene.pending(world.scene.results, MANAGEMENT_CONSUMERS)}
    world.require(entry not in pending, "R15", f"the result of {publish} isn't acknowledged")
    if verdict in {"parked", "cancelled"}:
        world.parked.add(publish)
        world.check_open_ledgers()
    if verdict == "cancelled":
        world.accepted.add(publish)
        world.let_go(publish)


def status_reader(world: World, row: Row, pick: Random) -> Actor:
    """S4: a look at the ledger, then the state; another bridge may resolve in between."""
    entry, fields = row
    publish = world.publish_of(fields)
    phase, winner = world.scene.client.hmget(world.scene.keys.job(publish), ["phase", "winner"])
    yield
    if phase == "open" and not winner:
        world.put(publish, "STARTED" if fields["kind"] == "started" else PROGRESS)
    world.scene.client.xack(world.scene.status, MANAGEMENT_CONSUMERS, entry)


def monitor(world: World, row: Row, pick: Random) -> Actor:
    """Another group on the results, at its own pace."""
    yield
    world.scene.client.xack(world.scene.results, "monitoring", row[0])
    world.say(f"monitor acknowledges a result of {task_of(world.publish_of(row[1]))}")
