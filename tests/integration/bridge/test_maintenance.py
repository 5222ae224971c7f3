"""What the bridge does beside resolving, with the real functions on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from celery import Celery

from bridge import connect
from bridge.connection import Connection
from bridge.maintenance import repair_open
from bridge.settings import BridgeSettings
from streams.bus.clients import connect as connect_redis
from streams.bus.functions import load_library
from streams.bus.topology import PLAIN, SERVICES, add_service
from streams.embedded import Server
from tests.protocol.scene import SERVICE, Scene

WITH_LANES = replace(SERVICE, lanes=("urgent", "normal"))
BESIDE_THE_PLAIN_STREAM = replace(SERVICE, lanes=("urgent", PLAIN, "bulk"))


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[Scene]:
    add_service(SERVICE)
    with connect_redis(redis_url) as client:
        load_library(client)
        yield Scene(client, prefix)
    SERVICES[SERVICE.name] = SERVICE


def connection(server: Server, prefix: str, **settings: float) -> Connection:
    app = connect(Celery("unit", broker="memory://", backend="cache+memory://", set_as_current=False))
    app.streams_connection = Connection(app, BridgeSettings(redis_url=server.url, streams_prefix=prefix).model_copy(update=settings))
    return Connection.of(app)


def repair(connection: Connection) -> dict[str, int]:
    return repair_open(connection, older_than_seconds=0)


def test_a_job_that_runs_on_is_left_alone_when_its_service_gets_lanes(server: Server, prefix: str, scene: Scene) -> None:
    scene.started("p1")
    SERVICES[SERVICE.name] = WITH_LANES
    assert repair(connection(server, prefix)) == {"fine:elsewhere": 1}


def test_a_job_whose_worker_died_runs_again_when_its_service_got_lanes(server: Server, prefix: str, scene: Scene) -> None:
    scene.started("p1")
    SERVICES[SERVICE.name] = WITH_LANES
    bridge = connection(server, prefix, lease_seconds=0.0)
    assert repair(bridge) == {"repaired": 1}
    assert repair(bridge) == {"fine:unread": 1}
    plain = bridge.keys.stream(SERVICE.commands)
    assert bridge.client.xpending(plain, SERVICE.group)["pending"] == 0


def test_what_waits_is_moved_when_its_service_gets_lanes(server: Server, prefix: str, scene: Scene) -> None:
    scene.dispatch("p1")
    SERVICES[SERVICE.name] = WITH_LANES
    bridge = connection(server, prefix)
    assert repair(bridge) == {"repaired": 1}
    assert [0, 0, 1] == [bridge.client.xlen(bridge.keys.stream(name)) for name in (SERVICE.commands, *WITH_LANES.command_streams)]
    assert repair(bridge) == {"fine:unread": 1}


def test_what_waits_or_runs_on_the_plain_stream_stays_there_when_the_service_gets_lanes_beside_it(server: Server, prefix: str, scene: Scene) -> None:
    scene.started("p1")
    scene.dispatch("p2", task="t2")
    SERVICES[SERVICE.name] = BESIDE_THE_PLAIN_STREAM
    bridge = connection(server, prefix, lease_seconds=0.0)
    assert repair(bridge) == {"fine:pending": 1, "fine:unread": 1}
    bridge.client.xdel(bridge.keys.stream(SERVICE.commands), str(bridge.client.hget(bridge.keys.job("p2"), "entry")))
    assert repair(bridge) == {"fine:pending": 1, "repaired": 1}
    assert bridge.client.xlen(bridge.keys.stream(SERVICE.commands)) == 2


def test_a_job_of_a_service_that_is_unknown_here_holds_up_no_other(server: Server, prefix: str, scene: Scene) -> None:
    scene.dispatch("p1")
    scene.dispatch("p2", task="t2")
    bridge = connection(server, prefix)
    bridge.client.hset(bridge.keys.job("p1"), "service", "gone")
    assert repair(bridge) == {"failed": 1, "fine:unread": 1}
