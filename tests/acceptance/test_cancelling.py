"""A job that is cancelled, expires or runs out of time ends as in Celery, and its process is gone."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

import pytest
from celery import chain
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from streams.jobs.cancelling import cancel_task
from tests.acceptance.stack import GONE_SECONDS, LEASE_SECONDS, Stack, is_gone
from tests.waiting import wait_until

KILL_SECONDS = 1 + 2 + LEASE_SECONDS
"""Grace, SIGTERM to SIGKILL, and the heartbeat that tells the worker."""


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery()
    stack.bridge()
    stack.worker()
    stack.start()


@pytest.fixture(autouse=True)
def _at_rest(stack: Stack, _running: None) -> Iterator[None]:
    yield
    stack.wait_for_rest()


def cancel(stack: Stack, result: AsyncResult) -> list[str]:
    return list(cancel_task(stack.redis, stack.keys, result.id).values())


def revoked(stack: Stack, result: AsyncResult) -> bool:
    with pytest.raises(TaskRevokedError):
        stack.get(result)
    # A later task of a chain raises its parent's error first.
    return wait_until(lambda: stack.state(result) == "REVOKED", message=lambda: stack.state(result))


def test_a_running_job_stops_and_a_waiting_one_never_starts(stack: Stack) -> None:
    running = stack.send("sleep", seconds=60)
    run = stack.wait_for_run(running)
    waiting = stack.send("echo", value=1)
    wait_until(lambda: stack.state(waiting) == "DISPATCHED")
    assert cancel(stack, waiting) == ["accepted"]
    assert cancel(stack, running) == ["accepted"]
    assert revoked(stack, running)
    assert revoked(stack, waiting)
    wait_until(lambda: is_gone(run.pid), GONE_SECONDS)
    assert stack.runs(waiting) == []
    assert stack.get(stack.send("echo", value=2)) == {"value": 2}


def test_a_job_that_ignores_its_cancellation_is_killed(stack: Stack) -> None:
    result = stack.send("sleep", seconds=60, ignore_cancel=True)
    run = stack.wait_for_run(result)
    started = time.monotonic()
    assert cancel(stack, result) == ["accepted"]
    assert revoked(stack, result)
    assert time.monotonic() - started < KILL_SECONDS + 1
    assert is_gone(run.pid)


def test_a_cancel_may_come_before_the_task_is_sent(stack: Stack) -> None:
    task_id = str(uuid.uuid4())
    assert cancel_task(stack.redis, stack.keys, task_id) == {}
    result = stack.task("echo", value=1).apply_async(task_id=task_id)
    assert revoked(stack, result)
    assert stack.runs(result) == []


def test_a_cancel_after_the_end_is_too_late(stack: Stack) -> None:
    result = stack.send("echo", value=1)
    assert stack.get(result) == {"value": 1}
    stack.wait_for_rest()
    assert cancel(stack, result) == ["too late"]
    assert stack.state(result) == "SUCCESS"


def test_the_rest_of_a_chain_is_revoked_with_its_head(stack: Stack) -> None:
    last = chain(stack.task("sleep", seconds=60), stack.task("echo", value=1)).apply_async()
    stack.wait_for_run(last.parent)
    cancel(stack, last.parent)
    assert revoked(stack, last.parent)
    assert revoked(stack, last)
    assert stack.runs(last) == []


@pytest.mark.parametrize("ignore_cancel", [False, True], ids=["a job that looks", "a job that never looks"])
def test_a_job_is_ended_at_its_time_limit(stack: Stack, ignore_cancel: bool) -> None:
    result = stack.task("sleep", seconds=60, ignore_cancel=ignore_cancel).apply_async(time_limit=1)
    run = stack.wait_for_run(result)
    with pytest.raises(Exception, match=r"TimeLimitExceeded\(1,\)"):
        stack.get(result)
    assert is_gone(run.pid)
    assert len(stack.runs(result)) == 1


def test_a_task_that_expires_while_its_job_waits_is_revoked(stack: Stack) -> None:
    busy = stack.send("sleep", seconds=2)
    stack.wait_for_run(busy)
    result = stack.task("echo", value=1).apply_async(expires=1)
    wait_until(lambda: stack.state(result) == "DISPATCHED")
    assert revoked(stack, result)
    assert stack.runs(result) == []
    assert stack.get(busy) == {"slept": 2}
