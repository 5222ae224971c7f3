"""The open jobs, as remote control sees them: what is wrong with one, or with the server, hides nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.worker import state as worker_state

from bridge import connect
from bridge.connection import Connection
from bridge.job_info import Stage
from bridge.remote_control import inspecting as remote_control
from bridge.remote_control import revoking
from bridge.remote_control.open_jobs import OpenJob, open_jobs
from bridge.settings import BridgeSettings
from streams.bus.clients import connect as connect_redis
from streams.bus.functions import load_library
from streams.bus.topology import add_service
from streams.embedded import Server
from tests.protocol.scene import SERVICE, Scene


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[Scene]:
    add_service(SERVICE)
    with connect_redis(redis_url) as client:
        load_library(client)
        yield Scene(client, prefix)


def made(url: str, prefix: str) -> Celery:
    app = Celery("unit", broker="memory://", backend="cache+memory://", set_as_current=False)
    return connect(app, BridgeSettings(redis_url=url, streams_prefix=prefix))


def test_a_worker_that_writes_garbage_into_its_half_of_the_ledger_hides_no_job(server: Server, prefix: str, scene: Scene) -> None:
    for number in range(3):
        scene.started(f"p{number}", task=f"t{number}")
    scene.client.hset(scene.keys.run(SERVICE.name, "p0"), mapping={"heartbeat": "soon", "started_at": "never"})
    scene.client.delete(scene.keys.run(SERVICE.name, "p1"))
    scene.client.set(scene.keys.run(SERVICE.name, "p1"), "no hash")
    jobs = open_jobs(Connection.of(made(server.url, prefix)))
    assert [("t0", Stage.WAITING), ("t1", Stage.WAITING), ("t2", Stage.RUNNING)] == [(job.task_id, job.stage) for job in jobs]


def test_a_job_of_a_task_that_the_bridge_doesnt_know_is_told_too(server: Server, prefix: str, scene: Scene) -> None:
    scene.dispatch("p1")
    scene.client.hset(scene.keys.job("p1"), "ctx", json.dumps({"id": "t1", "task": "other.task", "args": [1], "kwargs": {}}))
    app = made(server.url, prefix)
    [job] = open_jobs(Connection.of(app))
    told = remote_control.info(app, job)
    assert ("t1", "other.task", [1], SERVICE.name) == (told["id"], told["name"], told["args"], told["hostname"])


def test_one_command_looks_once_whoever_it_is_about(server: Server, prefix: str, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.started("p1")
    looks: list[Connection] = []

    def look(connection: Connection) -> list[OpenJob]:
        looks.append(connection)
        return []

    monkeypatch.setattr(remote_control, "open_jobs", look)
    state = SimpleNamespace(app=made(server.url, prefix), jobs_now=None)
    for name in ("lab@here", "lab@there"):
        assert remote_control._active(state, SimpleNamespace(name=name)) == []  # type: ignore[arg-type]
    assert len(looks) == 1


def test_revoke_counts_here_although_the_streams_server_is_away(prefix: str, caplog: pytest.LogCaptureFixture) -> None:
    state = SimpleNamespace(app=made("unix:///no/such/socket", prefix))
    assert "ordinary" in revoking.revoke(state, "ordinary")["ok"]
    assert "ordinary" in worker_state.revoked
    revoking.revoke_by_stamped_headers(state, {"tenant": "t6"})
    assert caplog.text.count("revoke doesn't reach the jobs of stream workers") == 2


def test_an_app_that_is_not_connected_is_revoked_as_ever() -> None:
    state = SimpleNamespace(app=Celery("lonely", broker="memory://", backend="cache+memory://", set_as_current=False))
    assert "lonely-one" in revoking.revoke(state, "lonely-one")["ok"]
    assert "lonely-one" in worker_state.revoked
