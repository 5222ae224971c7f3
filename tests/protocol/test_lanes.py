"""A command stays on its lane: what the ledger remembers brings it back there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from streams.bus.topology import MANAGEMENT_CONSUMERS, Service
from streams.jobs import dispatching, managing, running
from streams.jobs.messages import Command, DeadReason
from streams.jobs.running import Delivery
from tests.protocol.scene import ERROR, Scene

LANES = Service.named("lanes", lanes=("urgent", "normal"))


@pytest.fixture
def urgent(scene: Scene) -> str:
    """The stream, on which `p1` waits."""
    for stream in LANES.command_streams:
        scene.client.xgroup_create(scene.keys.stream(stream), LANES.group, id="0", mkstream=True)
    command = Command(type="lab.run", task_id="t1", callback_stream=scene.keys.stream(LANES.results))
    step = dispatching.dispatch(scene.keys, LANES, command, publish_id="p1", lineage="p1", retries=0, context="ctx", lane="urgent")
    assert scene.do(step).verdict == "sent"
    return scene.keys.stream(LANES.command_stream("urgent"))


def taken(scene: Scene, stream: str) -> Delivery:
    reply: Any = scene.client.xreadgroup(LANES.group, "W1", {stream: ">"}, count=1)
    [(entry, fields)] = reply[stream]
    return Delivery(LANES, stream, entry, "W1", Command.from_redis_dict(fields))


def take_up(scene: Scene, delivery: Delivery) -> str:
    step = running.take_up(scene.keys, delivery, nonce=scene.nonce(), max_deliveries=3, worker="lanes@W1", pid=7)
    return scene.do(step).token


def repair(scene: Scene, stream: str | None) -> str:
    step = managing.repair(
        scene.keys,
        LANES,
        "p1",
        task_id="t1",
        attempt=1,
        callback_stream=scene.keys.stream(LANES.results),
        results_group=MANAGEMENT_CONSUMERS,
        max_deliveries=3,
        stream=stream,
    )
    return scene.do(step)


def test_the_ledger_remembers_the_lane(scene: Scene, urgent: str) -> None:
    assert scene.job()["stream"] == urgent
    assert scene.client.xlen(scene.keys.stream(LANES.command_stream())) == 0


def test_a_delayed_command_knows_its_lane_and_goes_back_there(scene: Scene, urgent: str) -> None:
    delivery = taken(scene, urgent)
    token = take_up(scene, delivery)
    step = running.retry_later(
        scene.keys, delivery, token, ERROR, reason=DeadReason.EXHAUSTED, delay=timedelta(0), max_deliveries=3, worker="lanes@W1", pid=7
    )
    assert scene.do(step) == "delayed"
    remembered = scene.client.hget(scene.keys.run(LANES.name, "p1"), "stream")
    assert remembered == urgent
    assert scene.do(managing.promote(scene.keys, LANES, "p1", stream=remembered))
    assert taken(scene, urgent).command.deliveries == 1


def test_a_lost_command_is_sent_again_on_its_lane(scene: Scene, urgent: str) -> None:
    scene.client.xdel(urgent, scene.job()["entry"])
    assert repair(scene, scene.job()["stream"]) == "repaired"
    assert taken(scene, urgent).command.task_id == "t1"


def test_what_waited_before_the_service_got_its_lanes_is_sent_again_on_the_default_one(scene: Scene) -> None:
    plain = Service.named("lanes")
    command = Command(type="lab.run", task_id="t1", callback_stream=scene.keys.stream(plain.results))
    scene.do(dispatching.dispatch(scene.keys, plain, command, publish_id="p1", lineage="p1", retries=0, context="ctx"))
    for stream in LANES.command_streams:
        scene.client.xgroup_create(scene.keys.stream(stream), LANES.group, id="0", mkstream=True)
    assert repair(scene, None) == "repaired"
    assert taken(scene, scene.keys.stream(LANES.command_stream())).command.task_id == "t1"


def test_commands_without_a_publish_id_are_told_apart_by_their_lane() -> None:
    command = Command(type="lab.run", task_id="t1", callback_stream="s")
    known = {Delivery(LANES, stream, "1-0", "W1", command).publish_id for stream in LANES.command_streams}
    assert len(known) == 2
