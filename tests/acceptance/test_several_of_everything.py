"""Three bridges, three stream workers and two Celery workers, with some 200 jobs of all kinds, while a bridge dies in the middle."""

from __future__ import annotations

import socket
import time
from collections import Counter
from typing import Any

import pytest
from celery import chain, chord
from celery.result import AsyncResult

from bridge import RemoteError
from streams.bus.topology import MANAGEMENT_CONSUMERS
from tests.acceptance.stack import LAB, LEASE_SECONDS, Process, Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

ROUNDS = 8
CHAIN = CHORD = 5
TAKEN_OVER_SECONDS = LEASE_SECONDS + 3
"""A lease, one look for what others left, one blocking read, and a loaded machine."""


@pytest.fixture(autouse=True)
def _running(stack: Stack) -> None:
    if not stack.processes:
        for name in ("celery", "celery-two"):
            stack.celery(name)
        for name in ("bridge", "bridge-two", "bridge-three"):
            stack.bridge(name)
        for name in ("worker", "worker-two", "worker-three"):
            stack.worker(name, concurrency=4, imports=("--import", "tests.handlers", "-n", f"{name}@%h"), STREAMS_MAX_DELIVERIES="2")
    stack.start()


class Expected:
    """What was sent, and what is to come of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.values: dict[str, Any] = {}
        self.runs: dict[str, int] = {}
        self.failed: list[str] = []

    def result(self, task_id: str) -> AsyncResult:
        return AsyncResult(task_id, app=self.stack.caller)

    @property
    def successes(self) -> list[AsyncResult]:
        return [self.result(task_id) for task_id in self.values]

    def echo(self, task_id: str) -> Any:
        """A job that runs once, under an id that is known before."""
        self.values[task_id], self.runs[task_id] = {"value": len(self.values)}, 1
        return self.stack.task("echo", **self.values[task_id]).set(task_id=task_id)

    def flaky(self, name: str, task_id: str, **data: Any) -> Any:
        runs = data["failures"] + 1
        self.values[task_id], self.runs[task_id] = {"runs": runs}, runs
        return self.stack.task(name, **data).set(task_id=task_id)

    def send_round(self, number: int) -> None:
        """Links, a chain, a chord, an errback and the two kinds of retry."""
        for index in range(6):
            self.echo(f"{number}-linked-{index}").apply_async(link=self.echo(f"{number}-link-{index}"))
        chain(*(self.echo(f"{number}-chain-{index}") for index in range(CHAIN)), app=self.stack.caller).apply_async()
        parts = [self.echo(f"{number}-part-{index}") for index in range(CHORD)]
        chord(parts, app=self.stack.caller)(self.stack.caller.signature("lab.total").set(task_id=f"{number}-body"))
        self.values[f"{number}-body"] = sum(part.kwargs["value"] for part in parts)
        self.failed.append(f"{number}-failed")
        self.runs[f"{number}-failed"] = 1
        self.stack.task("fail").set(task_id=f"{number}-failed").apply_async(link_error=self.echo(f"{number}-errback"))
        self.flaky("flaky", f"{number}-delivered-again", failures=1).apply_async()
        if number % 4 == 0:  # two deliveries, then a dead letter, which Celery retries
            self.flaky("retried", f"{number}-retried", failures=2).apply_async()


def held_by(stack: Stack, bridge: Process) -> int:
    """Results that this bridge has and hasn't resolved."""
    name = f"{bridge.name}@{socket.gethostname()}"
    rows: Any = stack.redis.xinfo_consumers(LAB.results, MANAGEMENT_CONSUMERS)
    return sum(int(row["pending"]) for row in rows if row["name"] == name)


def kill_while_it_holds_results(stack: Stack, bridge: Process) -> None:
    def stopped_with_some() -> bool:
        bridge.pause()
        if held_by(stack, bridge):
            return True
        bridge.resume()
        return False

    wait_until(stopped_with_some)
    bridge.crash()


def test_a_bridge_that_dies_among_several_is_taken_over_and_all_comes_out_right(stack: Stack) -> None:
    expected, bridge = Expected(stack), stack.processes["bridge"]
    for number in range(ROUNDS):
        expected.send_round(number)
    assert len(expected.runs) >= 200
    wait_until(lambda: stack.states(expected.successes)["SUCCESS"] > 20)
    kill_while_it_holds_results(stack, bridge)
    killed = time.monotonic()
    wait_until(lambda: not held_by(stack, bridge))
    assert time.monotonic() - killed < TAKEN_OVER_SECONDS

    failed = [expected.result(task_id) for task_id in expected.failed]
    stack.wait_for_states(expected.successes, "SUCCESS")
    stack.wait_for_states(failed, "FAILURE")
    assert {result.id: stack.get(result) for result in expected.successes} == expected.values
    for result in failed:
        with pytest.raises(RemoteError, match="failed on purpose"):
            stack.get(result)
    stack.wait_for_rest()
    assert Counter(run.task_id for run in stack.runs()) == expected.runs
    assert stack.superseded() == []
    of_chords = list(stack.redis.scan_iter(match="celery-taskset-meta-*"))
    assert [key for key in of_chords if not key.endswith(".c")] == []  # no counters, no parts
    assert all(stack.redis.ttl(key) > 0 for key in of_chords)  # Celery's marks that a body was sent
    for name, process in stack.processes.items():
        assert process.running == (name != "bridge")
