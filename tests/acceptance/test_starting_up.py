"""Each process may be started first: it says what it waits for, and works once that is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.embedded import EmbeddedServer
from tests.acceptance.stack import LAB, LEASE_SECONDS, Stack
from tests.waiting import wait_until


@pytest.fixture
def late_server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    """Not started yet; its URL is known."""
    server = EmbeddedServer(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
def stack(late_server: EmbeddedServer, tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, late_server) as stack:
        yield stack


def test_processes_wait_for_a_server_that_is_away_and_work_once_it_comes(stack: Stack, late_server: EmbeddedServer) -> None:
    celery, bridge, worker = stack.celery(), stack.bridge(), stack.worker()
    for process in (celery, bridge, worker):
        process.start()
    worker.wait_for(f"Redis at {late_server.url}: ConnectionError")
    for process in (celery, bridge):
        process.wait_for("Cannot connect to redis")
        process.wait_for("Trying again in")
    late_server.start()
    for process in (celery, bridge, worker):
        process.wait_ready()
    assert stack.get(stack.send("echo", value=1)) == {"value": 1}
    worker.wait_for("Redis answers again")
    stack.wait_for_rest()


def test_a_worker_without_the_function_library_waits_and_says_so(stack: Stack, late_server: EmbeddedServer) -> None:
    late_server.start()
    worker = stack.worker()
    stack.start()
    stack.redis.xadd(LAB.commands, {"type": "test.echo", "task_id": "early", "callback_stream": LAB.results, "data": "{}"})
    worker.wait_for("the server holds no function library csb1; the bridge loads it when it starts")
    assert stack.runs() == []
    stack.start(stack.bridge())
    wait_until(lambda: [run.task_id for run in stack.runs()] == ["early"], timeout=LEASE_SECONDS + 10)
    wait_until(lambda: [result["status"] for result in stack.superseded()] == ["succeeded"])
    stack.wait_for_rest()


def test_functions_that_vanish_are_loaded_again_by_the_next_dispatch(stack: Stack, late_server: EmbeddedServer) -> None:
    late_server.start()
    stack.celery()
    stack.bridge()
    stack.worker()
    stack.start()
    assert stack.get(stack.send("echo", value=1)) == {"value": 1}
    stack.redis.function_flush()
    assert stack.get(stack.send("echo", value=2)) == {"value": 2}
    stack.wait_for_rest()


def test_a_flushed_server_is_like_a_new_one(stack: Stack, late_server: EmbeddedServer) -> None:
    late_server.start()
    stack.celery()
    stack.bridge()
    stack.worker()
    stack.start()
    assert stack.get(stack.send("echo", value=1)) == {"value": 1}
    stack.wait_for_rest()
    stack.redis.flushall()
    assert stack.get(stack.send("echo", value=2)) == {"value": 2}
    stack.wait_for_rest()
