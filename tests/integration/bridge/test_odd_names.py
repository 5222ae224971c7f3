"""What a worker calls itself, its consumer or its progress steers nobody's terminal and breaks no command of `streams`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery
from click.testing import CliRunner

from bridge import connect
from bridge.cli.streams import streams
from bridge.connection import Connection
from bridge.settings import BridgeSettings
from streams.bus.clients import connect as connect_redis
from streams.bus.functions import load_library
from streams.bus.topology import SERVICES, add_service
from streams.embedded import Server
from tests.protocol.scene import SERVICE, Scene

ODD: Any = b"\x1b[31mevil[/red]\x80"
SHOWN = "\\x1b[31mevil[/red]\\udc80"


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[Scene]:
    add_service(SERVICE)
    with connect_redis(redis_url) as client:
        load_library(client)
        yield Scene(client, prefix)
    SERVICES[SERVICE.name] = SERVICE


@pytest.fixture
def app(server: Server, prefix: str) -> Iterator[Celery]:
    settings = BridgeSettings(redis_url=server.url, streams_prefix=prefix)
    yield (app := connect(Celery("unit", broker="memory://", backend="cache+memory://", set_as_current=False), settings))
    Connection.of(app).client.close()


@pytest.mark.parametrize("command", ["health", "lag", "metrics", "metrics --json", "metrics --prometheus", "trim --explain", "trim --explain --json"])
def test_a_consumer_with_an_odd_name(app: Celery, scene: Scene, command: str) -> None:
    scene.dispatch()
    scene.client.xgroup_create(scene.commands, ODD, "0")
    groups: tuple[Any, ...] = (SERVICE.group, ODD)
    for group in groups:
        scene.client.xreadgroup(group, ODD, {scene.commands: ">"})
    done = CliRunner().invoke(streams, command.split(), obj=SimpleNamespace(app=app))
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert b"\x1b[31mevil" not in done.output_bytes
    if command == "metrics":
        assert SHOWN in done.output.replace("\n", "")


@pytest.mark.parametrize("as_json", [False, True])
def test_odd_progress(app: Celery, scene: Scene, monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    monkeypatch.setenv("RECONCILE_SETTLE_SECONDS", "0")
    scene.started()
    scene.client.hset(scene.keys.run(SERVICE.name, "p1"), mapping={"message": ODD, "current": "1", "progress_at": "5"})
    done = CliRunner().invoke(streams, ["doctor", "--quick", *(["--json"] if as_json else [])], obj=SimpleNamespace(app=app))
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert b"\x1b[31mevil" not in done.output_bytes
    if as_json:
        assert any(json.loads(line)["kind"] == "progress_stalled" for line in done.output.splitlines())
    else:
        assert "evil[/red]" in done.output
