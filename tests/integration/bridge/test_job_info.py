"""`JobInfo.of`: where a job is, in each part of its life. The steps of workers and bridges are the real functions on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from pydantic import ValidationError

from bridge import JobInfo, Progress, Stage, connect
from bridge.connection import Connection
from bridge.settings import BridgeSettings
from streams.bus.clients import connect as connect_redis
from streams.bus.functions import load_library
from streams.bus.topology import SERVICES, add_service
from streams.embedded import Server
from streams.jobs import queueing, running
from streams.jobs.messages import Status, StatusKind
from tests.protocol.scene import FAR_MS, LONG, SERVICE, Scene


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[Scene]:
    add_service(SERVICE)
    with connect_redis(redis_url) as client:
        load_library(client)
        yield Scene(client, prefix)


@pytest.fixture
def app(server: Server, prefix: str) -> Iterator[Celery]:
    app = Celery("unit", broker="memory://", backend=server.celery_url(), set_as_current=False)
    app.conf.result_backend_transport_options = {"global_keyprefix": prefix}
    yield connect(app, BridgeSettings(redis_url=server.url, streams_prefix=prefix))
    Connection.of(app).client.close()
    app.backend.client.close()


def info(app: Celery, task: str = "t1") -> JobInfo:
    return JobInfo.of(app.AsyncResult(task))


def recent(moment: datetime | None) -> bool:
    return moment is not None and timedelta(0) <= datetime.now(UTC) - moment < timedelta(minutes=1)


def test_of_an_unknown_id_nothing_is_known(app: Celery, scene: Scene) -> None:
    assert info(app).model_dump() == JobInfo(task_id="t1", state="PENDING", stage=Stage.UNKNOWN).model_dump()
    assert info(app).position() is None


def test_an_app_that_is_not_connected_says_how() -> None:
    with pytest.raises(LookupError, match=r"bridge\.connect"):
        JobInfo.of(Celery("lonely", backend="cache+memory://", set_as_current=False).AsyncResult("t1"))


def test_a_look_is_a_value(app: Celery, scene: Scene) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        info(app).stage = Stage.DONE  # type: ignore[misc]


def test_waiting(app: Celery, scene: Scene) -> None:
    scene.dispatch(retries=2)
    seen = info(app)
    assert (seen.stage, seen.service, seen.attempt, seen.run, seen.deliveries) == (Stage.WAITING, SERVICE.name, 2, 1, 0)
    assert recent(seen.dispatched_at)
    assert seen.queue_wait_seconds is not None
    assert 0 <= seen.queue_wait_seconds < 60
    assert (seen.started_at, seen.worker, seen.progress, seen.last_heartbeat) == (None, None, None, None)


def test_waiting_where_no_worker_was_ever(app: Celery, redis_url: str, prefix: str, scene: Scene) -> None:
    scene.client.xgroup_destroy(scene.commands, SERVICE.group)
    for number in range(3):
        scene.dispatch(f"p{number}", task=f"t{number}")
    assert [info(app, f"t{number}").position() for number in range(3)] == [0, 1, 2]


def test_the_position_counts_what_nobody_has_taken_up(app: Celery, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queueing, "COUNTED_AT_A_TIME", 2)  # so that it counts in several parts
    for number in range(8):
        scene.dispatch(f"p{number}", task=f"t{number}")
    delivery = scene.read()
    token = scene.take_up(delivery).token
    assert [info(app, f"t{number}").position() for number in range(8)] == [None, 0, 1, 2, 3, 4, 5, 6]
    scene.hand_back(delivery, token)
    assert [info(app, f"t{number}").position() for number in range(8)] == list(range(8))


def test_who_looks_need_not_know_the_service(app: Celery, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.dispatch()
    monkeypatch.delitem(SERVICES, SERVICE.name)
    assert (info(app).stage, info(app).position()) == (Stage.WAITING, 0)


def test_more_urgent_lanes_come_first(app: Celery, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = replace(SERVICE, lanes=("urgent", "normal"))
    monkeypatch.setitem(SERVICES, SERVICE.name, lanes)
    monkeypatch.setattr(scene, "service", lanes)
    for number in range(2):
        scene.dispatch(f"p{number}", task=f"t{number}")
    scene.client.xadd(scene.keys.stream(lanes.command_stream("urgent")), {"any": "thing"})
    assert [info(app, f"t{number}").position() for number in range(2)] == [1, 2]


def test_a_position_asked_for_late_is_none_once_it_runs(app: Celery, scene: Scene) -> None:
    scene.dispatch()
    before = info(app)
    scene.take_up(scene.read())
    assert before.position() is None


def test_running(app: Celery, scene: Scene) -> None:
    delivery, token = scene.started()
    status = Status(task_id="t1", attempt=1, kind=StatusKind.PROGRESS, current=41, total=100, message="half", worker="lab@W1")
    scene.do(running.heartbeat(scene.keys, delivery, token, status))
    seen = info(app)
    assert (seen.stage, seen.worker, seen.deliveries) == (Stage.RUNNING, "lab@W1", 1)
    assert seen.progress == Progress(current=41, total=100, message="half")
    assert recent(seen.started_at)
    assert recent(seen.last_heartbeat)
    assert seen.position() is None
    assert not seen.cancelling
    scene.cancel()
    assert info(app).cancelling


def test_running_on_a_foreign_worker(app: Celery, scene: Scene) -> None:
    """It reads and answers, and takes nothing up."""
    scene.dispatch()
    scene.read("elsewhere")
    assert (info(app).stage, info(app).worker, info(app).deliveries) == (Stage.RUNNING, "elsewhere", 1)


def test_delivered_again_after_a_passing_trouble(app: Celery, scene: Scene) -> None:
    delivery, token = scene.started()
    status = Status(task_id="t1", attempt=1, kind=StatusKind.PROGRESS, current=41, total=100, worker="lab@W1")
    scene.do(running.heartbeat(scene.keys, delivery, token, status))
    first = info(app)
    scene.retry_later(delivery, token, delay=LONG)
    seen = info(app)
    assert (seen.stage, seen.deliveries) == (Stage.DELAYED, 1)
    assert seen.due_at is not None
    assert timedelta(minutes=59) < seen.due_at - datetime.now(UTC) <= LONG
    scene.promote(now_ms=FAR_MS)
    assert (info(app).stage, info(app).position()) == (Stage.WAITING, 0)
    scene.take_up(scene.read("W2"))
    again = info(app)
    assert (again.stage, again.worker, again.deliveries, again.run) == (Stage.RUNNING, "lab@W2", 2, 1)
    assert again.progress is None
    assert first.queue_wait_seconds == again.queue_wait_seconds


def test_finishing_and_done(app: Celery, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    assert info(app).stage is Stage.FINISHING
    app.backend.store_result("t1", {"n": 1}, "SUCCESS")
    scene.close()
    seen = info(app)
    assert (seen.stage, seen.state, seen.worker, seen.deliveries) == (Stage.DONE, "SUCCESS", "lab@W1", 1)
    assert recent(seen.finished_at)


def test_done_longer_ago_than_its_tombstone(app: Celery, scene: Scene) -> None:
    app.backend.store_result("t1", {"n": 1}, "SUCCESS")
    seen = info(app)
    assert (seen.stage, seen.state, seen.run) == (Stage.DONE, "SUCCESS", None)
    assert recent(seen.finished_at)


def test_a_task_that_celery_retries(app: Celery, scene: Scene) -> None:
    delivery, token = scene.started()
    scene.finish(delivery, token)
    app.backend.store_result("t1", ValueError("again"), "RETRY")
    scene.close()
    assert info(app).stage is Stage.RETRYING
    scene.dispatch("p2", lineage="p1", retries=1)
    assert (info(app).stage, info(app).attempt, info(app).run) == (Stage.WAITING, 1, 2)


def test_a_result_whose_state_is_not_stored(app: Celery, scene: Scene) -> None:
    """`ignore_result`: the ledger knows, Celery doesn't."""
    delivery, token = scene.started()
    scene.finish(delivery, token)
    scene.close()
    assert (info(app).stage, info(app).state) == (Stage.DONE, "PENDING")
    assert recent(info(app).finished_at)
