"""`streams dead` in one process, on a real server: what is hard to meet with whole processes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from celery import Celery
from click.testing import CliRunner, Result

from bridge import connect
from bridge.cli.streams import streams
from bridge.connection import Connection
from bridge.settings import BridgeSettings
from streams.bus.clients import connect as connect_redis
from streams.bus.functions import load_library
from streams.bus.topology import SERVICES, add_service
from streams.embedded import Server
from tests.protocol.dead_scene import DeadScene
from tests.protocol.scene import SERVICE


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[DeadScene]:
    add_service(SERVICE)
    with connect_redis(redis_url) as client:
        load_library(client)
        yield DeadScene(client, prefix)
    SERVICES[SERVICE.name] = SERVICE


@pytest.fixture
def app(server: Server, prefix: str) -> Iterator[Celery]:
    app = connect(
        Celery("unit", broker="memory://", backend="cache+memory://", set_as_current=False),
        BridgeSettings(redis_url=server.url, streams_prefix=prefix),
    )
    yield app
    Connection.of(app).client.close()


def dead(app: Celery, *arguments: str) -> Result:
    return CliRunner().invoke(streams, ["dead", *arguments], obj=SimpleNamespace(app=app))


def test_a_dead_letter_is_not_purged_before_its_result_is_resolved(app: Celery, scene: DeadScene) -> None:
    scene.dispatch()
    letter = scene.killed()
    for dry in ((), ("--dry-run",)):
        done = dead(app, "purge", "--all", *dry)
        assert f"not lab {letter}: the result that tells its task of it isn't resolved yet" in done.output
    entry = scene.read_result()[0]
    scene.begin("p1", entry)
    assert scene.park("p1", entry) == "parked"
    assert "its task waits for it" in dead(app, "purge", letter).output
    assert dead(app, "discard", letter).exit_code == 0, "its operator still finds it"


def test_one_that_names_an_open_job_of_somebody_else_is_purged(app: Celery, scene: DeadScene) -> None:
    scene.dispatch()
    forged = str(scene.client.xadd(scene.dead, {"publish_id": "p1", "task_id": "another", "reason": "poison"}))
    assert dead(app, "purge", forged).exit_code == 0
    assert "it was gone already" not in dead(app, "purge", forged).output
    assert scene.client.xlen(scene.dead) == 0
