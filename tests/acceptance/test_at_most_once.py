"""`at_most_once=True`: whatever happens, no job of it runs a second time, and an end that isn't known is told as `UncertainOutcome`."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.result import AsyncResult

from bridge import DeadLettered, RemoteError, UncertainOutcome
from bridge.connection import Connection
from bridge.maintenance import repair_open
from streams.bus.topology import add_service
from streams.embedded import EmbeddedServer
from tests.acceptance.operator import Operator
from tests.acceptance.stack import LAB, Stack
from tests.handlers import HandlerError
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), own_server, None, WORKER_RETRY_BASE_SECONDS="0.05", STREAMS_LEASE_SECONDS="1") as stack:
        stack.celery("celery", "-P", "solo")
        stack.bridge()
        stack.worker("worker", 2)
        stack.start()
        yield stack


@pytest.fixture(autouse=True)
def _running(stack: Stack) -> Iterator[None]:
    stack.start()
    yield
    stack.wait_for_rest()


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """Holds an x for each time that the job did its work."""
    return tmp_path / "done"


def uncertain(stack: Stack, result: AsyncResult, done: Path) -> UncertainOutcome:
    """What the caller gets; nothing was retried by anybody, though the task says `autoretry_for=(Exception,)`."""
    with pytest.raises(UncertainOutcome) as caught:
        stack.get(result)
    assert done.read_text() == "x"
    assert [letter["reason"] for letter in stack.dead_letters() if letter["task_id"] == result.id] == ["uncertain"]
    assert not isinstance(caught.value, DeadLettered)
    return caught.value


@pytest.mark.parametrize("how", ["retryable", "crash"])
def test_neither_a_passing_trouble_nor_a_crash_is_tried_again(stack: Stack, done: Path, how: str) -> None:
    result = stack.send("once", path=str(done), how=how)
    assert uncertain(stack, result, done).deliveries == 1


def test_its_workers_death_is_no_reason_to_run_it_again(stack: Stack, done: Path) -> None:
    result = stack.send("once", path=str(done), how="wait")
    run, worker = stack.wait_for_run(result), stack.processes["worker"]
    wait_until(done.exists)
    assert stack.worker_of(run.pid) is worker
    worker.crash()
    stack.start(worker)
    assert "died or lost its lease" in uncertain(stack, result, done).message


def test_a_worker_that_is_told_to_stop_at_once_doesnt_hand_it_back(stack: Stack, done: Path) -> None:
    result = stack.send("once", path=str(done), how="wait")
    stack.wait_for_run(result)
    wait_until(done.exists)
    worker = stack.processes["worker"]
    os.kill(worker.pid, signal.SIGQUIT)
    wait_until(lambda: not worker.running)
    stack.start(worker)
    assert "HandedBack" in uncertain(stack, result, done).message


def test_a_lost_lease_is_no_reason_either(stack: Stack, done: Path) -> None:
    result = stack.send("once", path=str(done), how="wait")
    stack.wait_for_run(result)
    wait_until(done.exists)
    silent = stack.processes["worker"]
    other = stack.processes.get("other") or stack.worker("other")
    stack.start(other)
    silent.pause()
    try:
        uncertain(stack, result, done)
    finally:
        silent.resume()
    other.crash()


def test_a_command_that_vanished_isnt_sent_again(stack: Stack, done: Path) -> None:
    add_service(LAB)
    workers = [process for name, process in stack.processes.items() if name in {"worker", "other"}]
    for worker in workers:
        worker.crash()
    result = stack.send("once", path=str(done))
    wait_until(lambda: stack.redis.exists(stack.keys.task(result.id)))
    wait_until(lambda: stack.redis.xlen(LAB.commands))
    stack.redis.xtrim(LAB.commands, maxlen=0, approximate=False)
    assert repair_open(Connection.of(stack.caller), older_than_seconds=0) == {"dead_lettered": 1}
    with pytest.raises(UncertainOutcome, match="the command vanished"):
        stack.get(result)
    assert not done.exists()
    stack.start(*workers)


def test_what_it_raises_itself_is_an_outcome_that_celery_retries_if_told_to(stack: Stack, done: Path) -> None:
    """It is known, then, how it ended."""
    result = stack.send("once", path=str(done), how="fail")
    with pytest.raises((HandlerError, RemoteError), match="after it has done its work"):
        stack.get(result)
    assert done.read_text() == "xxx"
    assert stack.dead_letters()[-1]["task_id"] != result.id


def test_it_is_redriven_by_whoever_has_looked(stack: Stack, done: Path) -> None:
    operator = Operator(stack)
    result = stack.send("once", path=str(done), how="retryable")
    uncertain(stack, result, done)
    stack.wait_for_rest()
    assert "say --uncertain" in operator.cannot("redrive", result.id)
    assert "say --uncertain" in operator.cannot("redrive", result.id, "--dry-run")
    letter = operator.letter_of(result.id)
    assert "--uncertain" in operator.does("show", letter)
    lying = {name: value for name, value in stack.dead_letters()[-1].items() if name != "at_most_once"} | {"reason": "exhausted"}
    lie = str(stack.redis.xadd(LAB.dead_letters, lying))  # type: ignore[arg-type]
    assert "say --uncertain" in operator.cannot("redrive", lie), "what management remembers says that it may run once"
    stack.redis.xdel(LAB.dead_letters, lie)
    assert done.read_text() == "x"
    operator.does("redrive", letter, "--uncertain", "--set", "data.how=return")
    stack.wait_for_states([result], "SUCCESS")
    assert done.read_text() == "xx"
