"""R2 on a result backend that can't compare and set: the mark decides, and who was overtaken while writing puts it right."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.backends.database import DatabaseBackend
from celery.exceptions import BackendStoreError
from redis import Redis

from bridge import connect
from bridge.connection import Connection
from bridge.identity import CurrentRun, running
from bridge.settings import BridgeSettings
from bridge.states import BEGUN_RANK, DISPATCHED, PROGRESS
from bridge.stored_states import MarkedStates

TASK = "t1"


@pytest.fixture
def app(tmp_path: Path, redis_url: str, prefix: str) -> Iterator[Celery]:
    app = Celery("unit", broker="memory://", backend=f"db+sqlite:///{tmp_path}/results.db", set_as_current=False)
    app.conf.result_extended = True
    connect(app, BridgeSettings(redis_url=redis_url, streams_prefix=prefix))
    yield app
    Connection.of(app).client.close()
    app.backend.session_manager.invalidate(app.backend.url)


def run(seq: int = 1, lineage: str = "a") -> CurrentRun:
    return CurrentRun(f"p{seq}", lineage, seq, TASK)


def store(app: Celery, state: str, result: Any = None, *, by: CurrentRun | None = None, request: Context | None = None) -> None:
    with running(by or run()):
        app.backend.store_result(TASK, result, state, request=request)


def stored(app: Celery) -> dict[str, Any]:
    meta: dict[str, Any] = app.backend.get_task_meta(TASK, cache=False)
    return meta


def mark(app: Celery, redis_client: Redis) -> dict[str, str]:
    fields: Any = redis_client.hgetall(Connection.of(app).keys.mark(TASK))
    return dict(fields)


def overtaken_while_writing(
    app: Celery, overtake: Callable[[], None], state: str, result: Any, *, by: CurrentRun, through: DatabaseBackend | None = None
) -> None:
    """A writer that is overtaken between its decision and its write; `through` a backend without our fence the last check comes before that."""

    def write(*args: Any, **kwargs: Any) -> None:
        nonlocal overtake
        happens, overtake = overtake, lambda: None
        happens()
        DatabaseBackend._store_result(through or app.backend, *args, **kwargs)

    MarkedStates(Connection.of(app)).put(by, state, write, result=result, traceback=None, request=None)


def test_a_database_is_fenced(app: Celery) -> None:
    assert isinstance(app.backend, DatabaseBackend)
    assert isinstance(Connection.of(app).states, MarkedStates)


def test_states_rise_in_their_order_and_a_late_one_is_refused(app: Celery) -> None:
    for state in (DISPATCHED, "STARTED", PROGRESS, PROGRESS):
        store(app, state)
        assert state == stored(app)["status"]
    for late in (DISPATCHED, "STARTED"):
        store(app, late)
        assert stored(app)["status"] == PROGRESS
    store(app, "FAILURE", ValueError("bad pair"))
    store(app, PROGRESS)
    assert stored(app)["status"] == "FAILURE"


def test_nothing_lower_is_stored_once_the_mark_is_raised(app: Celery) -> None:
    Connection.of(app).raise_mark(run(), BEGUN_RANK)
    store(app, "STARTED")
    assert stored(app)["status"] == "PENDING"


def test_an_older_run_writes_no_end_over_a_newer_one_of_its_lineage(app: Celery) -> None:
    store(app, "STARTED", by=run(2))
    store(app, "FAILURE", ValueError("old"), by=run(1))
    assert stored(app)["status"] == "STARTED"


def test_success_stays(app: Celery) -> None:
    store(app, "SUCCESS", {"n": 1})
    store(app, "FAILURE", ValueError("later"), by=run(2, "b"))
    assert (stored(app)["status"], stored(app)["result"]) == ("SUCCESS", {"n": 1})


def test_other_tasks_are_stored_by_celery_alone(app: Celery) -> None:
    with running(run()):
        app.backend.store_result("another", 7, "SUCCESS")
    assert app.backend.get_task_meta("another")["result"] == 7


@pytest.mark.parametrize("too_late_to_see", [False, True])
def test_who_may_have_written_over_a_newer_state_writes_that_one_again(app: Celery, redis_client: Redis, too_late_to_see: bool) -> None:
    request = Context(id=TASK, task="lab.echo", args=(), kwargs={"n": 1}, retries=2, delivery_info={"routing_key": "q"}, hostname="w@h")
    request.children.append(app.AsyncResult("child"))
    plain = DatabaseBackend(app=app, url=app.backend.url) if too_late_to_see else None

    def overtake() -> None:
        store(app, "FAILURE", ValueError("bad pair"), request=request)

    overtaken_while_writing(app, overtake, PROGRESS, {"current": 1}, by=run(), through=plain)
    meta = stored(app)
    assert meta["status"] == "FAILURE"
    assert isinstance(meta["result"], ValueError)
    assert (meta["name"], meta["kwargs"], meta["retries"], meta["queue"], meta["worker"]) == ("lab.echo", {"n": 1}, 2, "q", "w@h")
    assert [["child", None], None] in meta["children"]
    assert {"decided", "writers"}.isdisjoint(mark(app, redis_client))  # nothing is kept once nobody writes
    if plain is not None:
        plain.session_manager.invalidate(plain.url)


def test_what_was_decided_and_never_written_is_no_outcome_yet(app: Celery, redis_client: Redis) -> None:
    def dies(*_: Any, **__: Any) -> None:
        raise BackendStoreError("gone")

    with pytest.raises(BackendStoreError):
        MarkedStates(Connection.of(app)).put(run(), "SUCCESS", dies, result=1, traceback=None, request=None)
    assert not Connection.of(app).has_outcome(run())
    assert {"decided", "writers"}.isdisjoint(mark(app, redis_client))
    store(app, "SUCCESS", 1)  # the replay
    assert Connection.of(app).has_outcome(run())
    assert stored(app)["result"] == 1


def test_what_a_dead_writer_had_decided_is_stored_by_the_replay(app: Celery, redis_client: Redis) -> None:
    class Killed(BaseException):
        pass

    key = Connection.of(app).keys.mark(TASK)

    def dies(*_: Any, **__: Any) -> None:
        redis_client.hincrby(key, "writers", 1)  # it never says that it gives up
        raise Killed

    with pytest.raises(Killed):
        MarkedStates(Connection.of(app)).put(run(), "RETRY", dies, result=None, traceback=None, request=None)
    assert stored(app)["status"] == "PENDING"
    store(app, PROGRESS)
    assert stored(app)["status"] == "PENDING"
    store(app, "RETRY", ValueError("again"))
    assert stored(app)["status"] == "RETRY"
    assert redis_client.ttl(key) > 0  # what is kept of the dead one goes with the mark


def test_however_writers_come_together_the_last_decision_is_what_stays(app: Celery, redis_client: Redis) -> None:
    """Past every look at the mark before the write: what puts things right is the look afterwards."""
    plain = DatabaseBackend(app=app, url=app.backend.url)
    order = [(PROGRESS, number) for number in range(30)] + [("RETRY", 0), ("STARTED", 0), (DISPATCHED, 0)]

    def write(*args: Any, **kwargs: Any) -> None:
        time.sleep(random.random() / 50)
        plain._ensure_retryable(plain._store_result, *args, **kwargs)

    def put(state: str, result: Any) -> None:
        MarkedStates(Connection.of(app)).put(run(), state, write, result=result, traceback=None, request=None)

    for _ in range(3):
        random.shuffle(order)
        with ThreadPoolExecutor(8) as pool:
            done = [pool.submit(put, *each) for each in order]
        assert [each.exception() for each in done] == [None] * len(order)
        assert stored(app)["status"] == "RETRY"
        assert {"decided", "writers"}.isdisjoint(mark(app, redis_client))
        redis_client.delete(Connection.of(app).keys.mark(TASK))
    plain.session_manager.invalidate(plain.url)
