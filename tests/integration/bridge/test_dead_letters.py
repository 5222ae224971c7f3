"""`streams dead` in one process, on a real server: what is hard to meet with whole processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

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


def test_a_stream_that_a_worker_spoilt_hides_no_other_service(app: Celery, scene: DeadScene, caplog: pytest.LogCaptureFixture) -> None:
    letter = scene.failed()
    scene.client.set(scene.keys.stream(SERVICES["backtesting"].dead_letters), "no stream")
    assert letter in dead(app, "list").output
    assert "service backtesting: its dead letters can't be read: WRONGTYPE" in caplog.text


def test_an_id_that_holds_no_time_is_listed(app: Celery, scene: DeadScene) -> None:
    letter = str(scene.client.xadd(scene.dead, {"reason": "poison"}, id="18446744073709551615-5"))
    for command in (("list",), ("list", "--json"), ("show", letter), ("purge", letter)):
        done = dead(app, *command)
        assert done.exit_code == 0, done.exception
        assert letter in done.output


def test_a_row_is_one_line_whatever_a_worker_has_written(app: Celery, scene: DeadScene) -> None:
    odd = f"{'x' * 20}\n1795-0  forged\t{'y' * 100_000}"
    letter = str(scene.client.xadd(scene.dead, {"type": odd, "reason": odd, "task_id": odd, "error": json.dumps({"type": odd, "message": odd})}))
    header, row, below = dead(app, "list").output.splitlines()
    assert header.startswith("id ")
    assert row.startswith(letter)
    assert "xxx\\n1795-0  forged" in row
    assert below.startswith("    xxx")
    assert max(map(len, (header, row, below))) < 250


def test_how_a_task_stands_is_read_for_what_is_shown_only(app: Celery, scene: DeadScene) -> None:
    letters = [scene.failed(f"p{number}", task=f"t{number}") for number in range(30)]
    scene.client.config_resetstat()
    assert letters[7] in dead(app, "show", "t7").output
    calls: Any = scene.client.info("commandstats")
    assert calls["cmdstat_hmget"]["calls"] < 5


def test_a_server_that_is_away_is_told_in_a_sentence() -> None:
    away = connect(
        Celery("away", broker="memory://", backend="cache+memory://", set_as_current=False), BridgeSettings(redis_url="redis://127.0.0.1:1/0")
    )
    for command in (("list",), ("show", "x"), ("redrive", "x"), ("purge", "--all")):
        done = dead(away, *command)
        assert done.exit_code == 1
        assert isinstance(done.exception, SystemExit)
        assert done.output.startswith("Error: Redis at redis://127.0.0.1:1/0: ")
