"""A stream worker that dies or falls silent loses its job to another one, and never gives a second result."""

from __future__ import annotations

import time

import pytest

from bridge import PoisonCommand
from tests.acceptance.stack import GONE_SECONDS, LEASE_SECONDS, Stack, is_gone
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

TAKEN_SECONDS = LEASE_SECONDS + 3
"""A lease, one look for what others left (each 0.7 s), one blocking read (1 s), and a loaded machine."""


@pytest.fixture(autouse=True)
def _running(stack: Stack) -> None:
    """Two workers."""
    if not stack.processes:
        stack.celery()
        stack.bridge()
        stack.worker("first", STREAMS_MAX_DELIVERIES="2")
        stack.worker("second", STREAMS_MAX_DELIVERIES="2")
    stack.start()


def succeeded(stack: Stack, *results: object) -> int:
    return sum(result["status"] == "succeeded" for result in stack.results_of(*results))


def test_another_worker_takes_the_job_of_a_killed_one_after_one_lease(stack: Stack) -> None:
    job = stack.send("sleep", seconds=LEASE_SECONDS)
    first = stack.wait_for_run(job)
    victim = stack.worker_of(first.pid)
    killed = time.time()
    victim.crash()
    wait_until(lambda: is_gone(first.pid), GONE_SECONDS)
    second = stack.wait_for_run(job, 2)
    assert LEASE_SECONDS * 2 / 3 - 0.1 < second.at - killed < TAKEN_SECONDS
    assert stack.get(job) == {"slept": LEASE_SECONDS}
    stack.start(victim)
    stack.wait_for_rest()
    assert [run.delivery for run in stack.runs(job)] == [1, 2]
    assert succeeded(stack, job) == 1
    assert stack.superseded() == []


def test_a_job_keeps_its_worker_for_longer_than_a_lease(stack: Stack) -> None:
    job = stack.send("sleep", seconds=LEASE_SECONDS * 2.5, steps=1)
    assert stack.get(job) == {"slept": LEASE_SECONDS * 2.5}
    assert len(stack.runs(job)) == 1


def test_a_silent_worker_is_refused_when_it_comes_back(stack: Stack) -> None:
    job = stack.send("sleep", seconds=LEASE_SECONDS)
    zombie = stack.worker_of(stack.wait_for_run(job).pid)
    zombie.pause()
    try:
        stack.wait_for_run(job, 2)
        assert len(stack.results_of(job)) == 0
    finally:
        zombie.resume()
    zombie.wait_for("lost")
    assert stack.get(job) == {"slept": LEASE_SECONDS}
    stack.wait_for_rest()
    assert [run.delivery for run in stack.runs(job)] == [1, 2]
    assert succeeded(stack, job) == 1
    # It works on.
    assert [stack.get(result) for result in [stack.send("echo", value=number) for number in range(4)]] == [{"value": number} for number in range(4)]


def test_a_silent_worker_that_comes_back_after_the_end_is_refused_too(stack: Stack) -> None:
    job = stack.send("sleep", seconds=0.5)
    zombie = stack.worker_of(stack.wait_for_run(job).pid)
    zombie.pause()
    try:
        assert stack.get(job) == {"slept": 0.5}
        stack.wait_for_rest()
    finally:
        zombie.resume()
    zombie.wait_for("lost")
    assert succeeded(stack, job) == 1
    assert stack.state(job) == "SUCCESS"
    stack.wait_for_rest()


def test_a_job_whose_workers_die_each_time_is_poison(stack: Stack) -> None:
    job = stack.send("sleep", seconds=60)
    for number in (1, 2):
        victim = stack.worker_of(stack.wait_for_run(job, number).pid)
        victim.crash()
        stack.start(victim)
    with pytest.raises(PoisonCommand, match=r"poison after 2 deliveries .*WorkerCrashed"):
        stack.get(job)
    assert len(stack.runs(job)) == 2
    stack.wait_for_rest()
