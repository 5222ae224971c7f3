"""SIGTERM lets a stream worker finish what it has; a second one hands it back. A lease here is far longer than any test."""

from __future__ import annotations

import signal
import time

import pytest

from streams.jobs.cancelling import cancel_task
from tests.acceptance.stack import Stack, is_gone

LONG_LEASE_SECONDS = 20
AT_ONCE_SECONDS = 5


@pytest.fixture(autouse=True)
def _running(stack: Stack) -> None:
    """Each test ends every stream worker, and starts its own."""
    if not stack.processes:
        stack.celery()
        stack.bridge()
        for name in ("first", "second"):
            stack.worker(name, concurrency=2, STREAMS_LEASE_SECONDS=str(LONG_LEASE_SECONDS), STREAMS_MAX_DELIVERIES="1")
        stack.start(stack.processes["celery"], stack.processes["bridge"])
    for name in ("first", "second"):
        stack.processes[name].terminate()
        assert stack.processes[name].wait(20)
    stack.start(stack.processes["first"])


def test_the_running_job_finishes_and_no_new_one_is_taken(stack: Stack) -> None:
    first, second = stack.processes["first"], stack.processes["second"]
    running = stack.send("sleep", seconds=2)
    stack.wait_for_run(running)
    first.terminate()
    first.wait_for("draining: 1 jobs")
    later = stack.send("echo", value=1)
    assert stack.get(running) == {"slept": 2}
    assert first.wait(5)
    assert first.returncode == 0
    assert stack.state(later) == "DISPATCHED"
    stack.start(second)
    assert stack.get(later) == {"value": 1}
    assert [run.delivery for run in stack.runs(running, later)] == [1, 1]
    stack.wait_for_rest()


def test_a_job_sent_just_after_the_signal_is_left_to_others(stack: Stack) -> None:
    first, second = stack.processes["first"], stack.processes["second"]
    running = stack.send("sleep", seconds=2)
    stack.wait_for_run(running)
    first.terminate()
    later = [stack.send("echo", value=number) for number in range(2)]
    assert stack.get(running) == {"slept": 2}
    assert first.wait(AT_ONCE_SECONDS)
    assert stack.runs(*later) == []
    stack.start(second)
    for number, result in enumerate(later):
        assert stack.get(result) == {"value": number}
    # With one delivery allowed, one that counted would be a dead letter.
    assert [run.delivery for run in stack.runs(*later)] == [1, 1]
    stack.wait_for_rest()


def test_a_second_signal_hands_the_job_back_and_another_worker_takes_it_at_once(stack: Stack) -> None:
    first, second = stack.processes["first"], stack.processes["second"]
    job = stack.send("sleep", seconds=6)
    run = stack.wait_for_run(job)
    stack.start(second)
    started = time.monotonic()
    first.terminate()
    first.wait_for("draining: 1 jobs")
    first.terminate()
    again = stack.wait_for_run(job, 2, timeout=AT_ONCE_SECONDS)
    assert time.monotonic() - started < AT_ONCE_SECONDS
    assert first.wait(5)
    assert first.returncode == 0
    assert is_gone(run.pid)
    # With one delivery allowed, a counted hand-back would be a dead letter.
    assert stack.get(job) == {"slept": 6}
    assert (run.delivery, again.delivery) == (1, 1)
    assert stack.dead_letters() == []
    stack.wait_for_rest()


def test_a_job_that_never_looks_is_handed_back_all_the_same(stack: Stack) -> None:
    first, second = stack.processes["first"], stack.processes["second"]
    job = stack.send("sleep", seconds=60, steps=600, ignore_cancel=True)
    run = stack.wait_for_run(job)
    first.terminate()
    first.wait_for("draining: 1 jobs")
    first.terminate()
    assert first.wait(10)
    assert is_gone(run.pid)
    stack.start(second)
    assert stack.wait_for_run(job, 2, timeout=AT_ONCE_SECONDS).delivery == 1
    cancel_task(stack.redis, stack.keys, job.id)
    stack.wait_for_states([job], "REVOKED")
    stack.wait_for_rest()


def test_an_idle_worker_and_bridge_and_celery_worker_end_at_once(stack: Stack) -> None:
    for process in stack.processes.values():
        process.terminate()
    for process in stack.processes.values():
        assert process.wait(AT_ONCE_SECONDS + 3), process.log_tail()
        assert process.returncode in {0, -signal.SIGTERM}, process.log_tail()
    stack.start(stack.processes["celery"], stack.processes["bridge"])
