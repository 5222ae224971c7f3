"""What the workers of one service may write reaches no job of another through the hands of management."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from streams.bus.functions import FunctionCall
from streams.bus.topology import Service
from streams.jobs import managing
from tests.protocol.dead_scene import DeadScene

EVIL = Service.named("evil")


def running(scene: DeadScene) -> dict[str, str]:
    """p1 of `lab` runs; what its ledger is."""
    scene.dispatch()
    scene.take_up(scene.read())
    return scene.job()


def test_a_delayed_command_that_names_anothers_publish(scene: DeadScene) -> None:
    before = running(scene)
    scene.client.eval("redis.call('HSET', KEYS[1], 'delayed', cmsgpack.pack({'type', 'x'}))", 1, scene.keys.run(EVIL.name, "p1"))
    scene.client.zadd(scene.keys.delayed(EVIL.name), {"p1": 1})
    assert scene.do(managing.promote(scene.keys, EVIL, "p1"))
    assert scene.job() == before
    assert scene.repair("p1") == "fine:pending", "it would run a second time beside the first"


@pytest.mark.parametrize("max_deliveries", [1, 3])
def test_a_reaped_command_that_names_anothers_publish_and_stream(scene: DeadScene, max_deliveries: int) -> None:
    before = running(scene)
    stream = scene.keys.stream(EVIL.commands)
    fields: dict[Any, Any] = {"type": "x", "task_id": "t1", "attempt": "1", "publish_id": "p1", "callback_stream": scene.results}
    scene.client.xgroup_create(stream, EVIL.group, "0", mkstream=True)
    entry = str(scene.client.xadd(stream, fields))
    scene.client.xreadgroup(EVIL.group, "evil", {stream: ">"})
    step: FunctionCall[str] = managing.reap(
        scene.keys,
        EVIL,
        stream=stream,
        entry=entry,
        fields=fields,
        publish_id="p1",
        min_idle=timedelta(0),
        max_deliveries=max_deliveries,
    )
    assert scene.do(step) == ("dead_lettered" if max_deliveries == 1 else "reaped")
    assert scene.job() == before
    assert scene.entries(scene.results) == [], "a bridge would take it for the job's own result"
