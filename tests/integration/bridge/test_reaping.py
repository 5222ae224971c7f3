"""R11 over all services, with the real functions on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from celery import Celery

from bridge import connect
from bridge.connection import Connection
from bridge.maintenance.reaping import PAGE, reap_silent
from bridge.settings import BridgeSettings
from streams.bus.clients import connect as connect_redis
from streams.bus.functions import load_library
from streams.bus.topology import SERVICES
from streams.embedded import Server
from tests.protocol.dead_scene import DeadScene
from tests.protocol.scene import SERVICE

FOREIGN = replace(SERVICE, reap_after_seconds=0.001)


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[DeadScene]:
    SERVICES[SERVICE.name] = FOREIGN
    with connect_redis(redis_url) as client:
        load_library(client)
        yield DeadScene(client, prefix)
    SERVICES[SERVICE.name] = SERVICE


@pytest.fixture
def bridge(server: Server, prefix: str) -> Connection:
    app = connect(Celery("unit", broker="memory://", backend="cache+memory://", set_as_current=False))
    app.streams_connection = Connection(app, BridgeSettings(redis_url=server.url, streams_prefix=prefix))
    return Connection.of(app)


def silent(scene: DeadScene, consumer: str = "foreign") -> None:
    """Whatever is held has been held for an hour."""
    scene.client.xclaim(scene.commands, SERVICE.group, consumer, 0, [each["message_id"] for each in scene.pending()], idle=3_600_000, justid=True)


def test_services_whose_workers_claim_are_left_alone(scene: DeadScene, bridge: Connection) -> None:
    SERVICES[SERVICE.name] = SERVICE
    scene.started()
    silent(scene)
    assert reap_silent(bridge) == {}
    assert len(scene.pending()) == 1


def test_a_silent_worker_loses_its_job_until_it_is_a_dead_letter(scene: DeadScene, bridge: Connection) -> None:
    scene.dispatch()
    for verdict in ("reaped", "reaped", "dead_lettered"):
        scene.read("foreign")
        silent(scene)
        assert reap_silent(bridge) == {verdict: 1}
        assert reap_silent(bridge) == {}
    ((_, letter),) = scene.entries(scene.dead)
    assert (letter["reason"], letter["deliveries"]) == ("poison", "3")


def test_there_may_be_more_than_a_page_of_each_kind(scene: DeadScene, bridge: Connection) -> None:
    many = PAGE + 5
    for number in range(many):
        scene.dispatch(f"p{number}", task=f"t{number}")
        scene.read("foreign")
    scene.cancel("p0")
    scene.client.xadd(scene.results, {"task_id": "t2", "attempt": "1", "status": "succeeded"})
    scene.close("p2", task="t2")
    silent(scene)
    scene.client.xdel(scene.commands, scene.job("p1")["entry"])
    assert reap_silent(bridge) == {"cancelled": 1, "vanished": 1, "resolved": 1, "reaped": many - 3}


def test_a_foreign_command_without_a_publish_keeps_its_count(scene: DeadScene, bridge: Connection) -> None:
    scene.client.xadd(scene.commands, {"type": "lab.run", "task_id": "f", "attempt": "1", "callback_stream": scene.results})
    for verdict in ("reaped", "reaped", "dead_lettered"):
        scene.read("foreign")
        silent(scene)
        assert reap_silent(bridge) == {verdict: 1}
    assert [result["status"] for result in scene.sent_results()] == ["dead_lettered"]


def test_lanes_are_looked_through_and_missing_groups_are_no_error(scene: DeadScene, bridge: Connection) -> None:
    SERVICES[SERVICE.name] = replace(FOREIGN, lanes=("urgent", "normal"))
    scene.dispatch()
    assert reap_silent(bridge) == {}
