"""`JobInfo.of` a caller's results, while real processes work on them."""

from __future__ import annotations

import pytest

from bridge import JobInfo, Stage
from tests.acceptance.stack import Stack
from tests.waiting import wait_until


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery()
    stack.bridge()
    stack.worker(concurrency=1)
    stack.start()


def test_a_job_is_followed_from_the_queue_to_its_end(stack: Stack) -> None:
    first = stack.send("sleep", seconds=2, steps=4)
    stack.wait_for_states([first], "PROGRESS")
    second = stack.send("flaky", failures=1)
    stack.wait_for_states([second], "DISPATCHED")
    third = stack.send("echo", value=1)
    stack.wait_for_states([third], "DISPATCHED")

    running = JobInfo.of(first)
    assert (running.stage, running.state, running.deliveries, running.attempt) == (Stage.RUNNING, "PROGRESS", 1, 0)
    assert running.progress is not None
    assert (running.progress.total, running.progress.message) == (4, "sleeping")
    assert running.worker is not None
    assert running.worker.startswith("lab@")
    assert running.last_heartbeat is not None
    assert [JobInfo.of(each).stage for each in (second, third)] == [Stage.WAITING] * 2
    assert [JobInfo.of(each).position() for each in (first, second, third)] == [None, 0, 1]

    wait_until(lambda: JobInfo.of(second).stage is Stage.DELAYED)
    assert JobInfo.of(second).due_at is not None
    assert stack.get(second) == {"runs": 2}
    stack.wait_for_rest()
    done = JobInfo.of(second)
    assert (done.stage, done.state, done.deliveries, done.run) == (Stage.DONE, "SUCCESS", 2, 1)
    assert done.finished_at is not None
    assert done.queue_wait_seconds is not None
    assert done.queue_wait_seconds > 0.5
    assert JobInfo.of(stack.caller.AsyncResult("never-sent")).stage is Stage.UNKNOWN
