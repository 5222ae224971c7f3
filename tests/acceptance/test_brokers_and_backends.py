"""The same on every broker and result backend that we say we support. RabbitMQ and PostgreSQL are Debian's, started here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from celery import chain, chord
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from bridge import JobInfo, RemoteError, Stage
from streams.embedded import EmbeddedServer
from tests import servers
from tests.acceptance.other_servers import DebianServer, Postgres, RabbitMQ
from tests.acceptance.stack import GONE_SECONDS, Stack, is_gone
from tests.waiting import wait_until


@dataclass(frozen=True)
class Way:
    """What is used beside the streams' server; None is that server itself."""

    broker: type[DebianServer] | None = None
    backend: type[DebianServer] | None = None
    redis_by_tcp: bool = False


WAYS = {  # all other tests have both in Redis, by its socket
    "redis-by-tcp": Way(redis_by_tcp=True),
    "rabbitmq": Way(broker=RabbitMQ),
    "rabbitmq-and-postgres": Way(broker=RabbitMQ, backend=Postgres),
}


@pytest.fixture(scope="module", params=list(WAYS.values()), ids=list(WAYS))
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    way: Way = request.param
    for kind in (way.broker, way.backend):
        if kind is not None and kind.program() is None:
            pytest.skip(f"{kind.package} is not installed")
    with contextlib.ExitStack() as opened:
        binary = servers.find(request.config.getoption("--server"))
        server = opened.enter_context(EmbeddedServer(tmp_path_factory.mktemp("redis"), binary=binary, port=0 if way.redis_by_tcp else None))
        named = {"CELERY_BROKER_URL": way.broker, "CELERY_RESULT_BACKEND": way.backend}
        others = {variable: opened.enter_context(kind()) for variable, kind in named.items() if kind is not None}
        urls = {variable: other.url for variable, other in others.items()}
        stack = opened.enter_context(Stack(tmp_path_factory.mktemp("stack"), server, None, BRIDGE_MEMORY_SECONDS="0", **urls))
        stack.others = list(others.values())
        stack.celery()
        stack.bridge()
        stack.worker(concurrency=2, STREAMS_MAX_DELIVERIES="2")
        stack.start()
        yield stack


@pytest.fixture(autouse=True)
def _at_rest(stack: Stack) -> Iterator[None]:
    yield
    stack.wait_for_rest()


def test_success(stack: Stack) -> None:
    result = stack.send("echo", value=1, nested={"list": [1, 2.5, None, "ä"]})
    assert stack.get(result) == {"value": 1, "nested": {"list": [1, 2.5, None, "ä"]}}
    assert len(stack.runs(result)) == 1
    stack.wait_for_rest()
    info = JobInfo.of(result)
    assert (info.stage, info.state, info.deliveries) == (Stage.DONE, "SUCCESS", 1)
    assert info.finished_at is not None
    assert info.started_at is not None
    assert timedelta(0) <= info.finished_at - info.started_at < timedelta(minutes=1)


def test_progress(stack: Stack) -> None:
    result = stack.send("sleep", seconds=1.5, steps=3)
    wait_until(lambda: stack.state(result) == "PROGRESS")
    assert {"total": 3, "message": "sleeping"}.items() <= result.info.items()
    assert stack.get(result) == {"slept": 1.5}


def test_failure_and_errback(stack: Stack) -> None:
    errback = AsyncResult(f"errback-of-{id(stack)}", app=stack.caller)
    result = stack.task("fail", message="no candles").apply_async(link_error=stack.task("echo", value="told").set(task_id=errback.id))
    with pytest.raises(RemoteError, match="HandlerError: no candles"):
        stack.get(result)
    assert "tests/handlers.py" in result.traceback
    assert stack.get(errback) == {"value": "told"}


def test_retry(stack: Stack) -> None:
    result = stack.send("retried", failures=2)
    assert stack.get(result) == {"runs": 3}
    assert [(run.attempt, run.delivery) for run in stack.runs(result)] == [(1, 1), (1, 2), (2, 1)]


def test_a_task_that_is_put_off(stack: Stack) -> None:
    stack.redis.set(stack.keys.over_memory, "too much", ex=600)
    body = chord([stack.task("echo", value=number) for number in range(2)], stack.caller.signature("lab.total"), app=stack.caller)()
    stack.wait_for_states(body.parent.results, "RETRY")
    assert "the streams are over their memory budget: too much" in str(body.parent.results[0].result)
    stack.redis.delete(stack.keys.over_memory)
    assert stack.get(body) == 1
    assert {1: 2} == stack.run_counts(body.parent.results)


def test_chain(stack: Stack) -> None:
    last = chain(stack.task("echo", value=1), stack.task("echo", value=2), stack.task("total", [{"value": 3}])).apply_async()
    assert stack.get(last) == 3
    assert stack.get(last.parent) == {"value": 2}


def test_chord(stack: Stack) -> None:
    parts = [stack.task("echo", value=number) for number in range(5)]
    assert stack.get(chord(parts, stack.caller.signature("lab.total"), app=stack.caller)()) == sum(range(5))


def test_chord_with_a_bridged_body(stack: Stack) -> None:
    body = chord([stack.task("echo", value=1), stack.task("echo", value=2)], stack.task("echo", value="body"), app=stack.caller)()
    assert stack.get(body) == {"value": "body"}
    assert len(stack.runs(body)) == 1


def test_failed_part_of_a_chord(stack: Stack) -> None:
    body = chord([stack.task("echo", value=1), stack.task("fail")], stack.task("echo", value="body"), app=stack.caller)()
    wait_until(lambda: stack.state(body) == "FAILURE", message=lambda: stack.state(body))
    assert stack.runs(body) == []


def test_revoke_of_a_running_job(stack: Stack) -> None:
    result = stack.send("sleep", seconds=60)
    run = stack.wait_for_run(result)
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        stack.get(result)
    wait_until(lambda: is_gone(run.pid), GONE_SECONDS)


def test_revoke_of_a_waiting_job(stack: Stack) -> None:
    busy = [stack.send("sleep", seconds=2) for _ in range(2)]
    for job in busy:
        stack.wait_for_run(job)
    waiting = stack.send("echo", value=1)
    wait_until(lambda: stack.state(waiting) == "DISPATCHED")
    waiting.revoke()
    with pytest.raises(TaskRevokedError):
        stack.get(waiting)
    assert stack.runs(waiting) == []


@pytest.mark.parametrize("stack", [WAYS["rabbitmq-and-postgres"]], ids=["postgres"], indirect=True)
def test_a_job_that_ends_while_the_database_is_away(stack: Stack) -> None:
    [database] = [other for other in stack.others if isinstance(other, Postgres)]
    result = stack.send("sleep", seconds=1.5, steps=1)
    stack.wait_for_states([result], "PROGRESS")
    database.halt()
    stack.processes["bridge"].wait_for(f"task {result.id}: its result")
    database.start()
    assert stack.get(result) == {"slept": 1.5}
    assert len(stack.runs(result)) == 1


@pytest.mark.parametrize("stack", [WAYS["rabbitmq-and-postgres"]], ids=["postgres"], indirect=True)
def test_a_celery_worker_killed_while_it_looks_whether_a_chord_is_complete(stack: Stack) -> None:
    [database] = [other for other in stack.others if isinstance(other, Postgres)]
    celery = stack.processes["celery"]
    body = chord([stack.task("echo", value=1), stack.task("sleep", seconds=2)], stack.task("echo", value="body"), app=stack.caller)()
    stack.wait_for_states([body.parent.results[1]], "PROGRESS")

    def looks() -> bool:
        active: dict[str, list[dict[str, Any]]] = stack.caller.control.inspect(timeout=0.5).active() or {}
        return "celery.chord_unlock" in [request["name"] for requests in active.values() for request in requests]

    with database.standing_still():
        wait_until(looks, message=celery.log)
        celery.crash()
        celery.end()
    stack.start(celery)
    assert stack.get(body) == {"value": "body"}
    stack.wait_for_rest()
    assert len(stack.runs(body)) == 1
