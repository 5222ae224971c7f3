"""One Celery worker process is enough for any number of long jobs: it only dispatches them."""

from __future__ import annotations

import time

import pytest

from streams.jobs.cancelling import cancel_task
from tests.acceptance.stack import Stack

SECONDS_TO_DISPATCH = 5
HARDLY_MORE_BYTES = 10 << 20
"""A job kept in memory for each of 200 jobs would be more than 50 KiB a job; a running process far more."""


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery()
    stack.bridge()
    stack.worker(concurrency=2)
    stack.start()


def test_a_celery_worker_is_free_while_hundreds_of_long_jobs_are_in_flight(stack: Stack) -> None:
    stack.get(stack.task("total", [{"value": 1}]).apply_async())
    started = time.monotonic()
    jobs = [stack.send("sleep", seconds=300, steps=1000) for _ in range(20)]
    stack.wait_for_states(jobs, "DISPATCHED", "STARTED", "PROGRESS", timeout=SECONDS_TO_DISPATCH)
    assert time.monotonic() - started < SECONDS_TO_DISPATCH
    with_20 = stack.processes["celery"].rss_bytes()

    jobs += [stack.send("sleep", seconds=300, steps=1000) for _ in range(200)]
    stack.wait_for_states(jobs, "DISPATCHED", "STARTED", "PROGRESS", timeout=20)
    assert stack.processes["celery"].rss_bytes() - with_20 < HARDLY_MORE_BYTES
    started = time.monotonic()
    assert stack.get(stack.task("total", [{"value": 2}]).apply_async()) == 2
    assert time.monotonic() - started < 1
    assert stack.results_of(*jobs) == []
    assert len(stack.runs()) == 2
    assert stack.redis.zcard(stack.keys.open_jobs) == len(jobs)

    for job in reversed(jobs):  # those that run last: else others begin in their places
        assert list(cancel_task(stack.redis, stack.keys, job.id).values()) == ["accepted"]
    stack.wait_for_states(jobs, "REVOKED")
    stack.wait_for_rest()
    assert stack.results_written() == len(jobs)
    assert len(stack.runs()) == 2
