"""A Celery worker may die between the delivery of a task and its dispatch: the task is delivered again, and its job runs once."""

from __future__ import annotations

import random
import signal

import psutil
import pytest

from tests.acceptance.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

TASKS = 50


@pytest.fixture(autouse=True)
def _running(stack: Stack) -> None:
    if not stack.processes:
        stack.celery()
        stack.bridge()
        stack.worker(concurrency=4)
    stack.start()


def test_a_worker_killed_at_random_moments_loses_and_repeats_nothing(stack: Stack) -> None:
    celery = stack.processes["celery"]
    results = []
    for number in range(TASKS):
        results.append(stack.send("echo", value=number))
        if number % 17 == 16:
            celery.start()
            dispatched = random.randint(1, number)
            wait_until(lambda: stack.redis.zcard(stack.keys.open_jobs) + stack.states(results)["SUCCESS"] >= dispatched)  # noqa: B023 - called at once
            stack.pause_when_the_broker_knows(celery, results)
            celery.crash()
    stack.start(celery)
    stack.wait_for_states(results, "SUCCESS", timeout=40)
    assert [stack.get(result) for result in results] == [{"value": number} for number in range(TASKS)]
    stack.wait_for_rest()
    assert stack.run_counts(results) == {1: TASKS}


def test_a_worker_killed_while_its_pool_process_stands_still(stack: Stack) -> None:
    """The pool process is stopped wherever it is, and the worker killed above it."""
    celery = stack.processes["celery"]
    results = [stack.send("echo", value=number) for number in range(20)]
    pool = [process for process in celery.family() if process.pid != celery.pid]
    waiting = random.randint(2, 20)
    wait_until(lambda: stack.states(results)["PENDING"] < waiting)
    for process in pool:
        process.suspend()
    stack.pause_when_the_broker_knows(celery, results)
    celery.crash()
    for process in pool:
        process.kill()
    stack.start(celery)
    stack.wait_for_states(results, "SUCCESS", timeout=40)
    stack.wait_for_rest()
    assert stack.run_counts(results) == {1: 20}


def test_a_pool_process_that_is_killed_has_its_task_delivered_again(stack: Stack) -> None:
    celery = stack.processes["celery"]
    results = []
    for number in range(30):
        results.append(stack.send("echo", value=number))
        if number % 10 == 5:
            for process in celery.family():
                if process.pid != celery.pid:
                    process.send_signal(signal.SIGKILL)
    stack.wait_for_states(results, "SUCCESS", timeout=40)
    stack.wait_for_rest()
    assert stack.run_counts(results) == {1: 30}


def test_a_message_that_is_delivered_twice_is_dispatched_once(stack: Stack) -> None:
    """A worker that stands still for longer than the broker's visibility timeout, and goes on when another has had its messages."""
    celery = stack.processes["celery"]
    other = stack.processes.get("other") or stack.celery("other")
    family: list[psutil.Process] = celery.family()
    for process in family:
        process.suspend()
    results = [stack.send("echo", value=number) for number in range(10)]
    for process in family:
        process.resume()
    wait_until(lambda: stack.redis.hlen("unacked") or stack.states(results)["SUCCESS"])
    stack.pause_when_the_broker_knows(celery, results)
    for process in family:
        process.suspend()
    try:
        stack.start(other)
        stack.wait_for_states(results, "SUCCESS", timeout=40)
    finally:
        for process in family:
            process.resume()
    assert stack.get(stack.send("echo", value="next")) == {"value": "next"}
    stack.wait_for_rest()
    assert stack.run_counts(results) == {1: 10}
