"""Back-pressure: a full stream refuses, and Celery tries again later, with nothing lost and no `retries` used up. Real processes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group

from bridge import JobInfo, Stage
from streams.embedded import EmbeddedServer
from streams.errors import BacklogFull
from tests.acceptance.stack import Process, Stack
from tests.waiting import wait_until

LIMIT = 2


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory: Path = tmp_path_factory.mktemp("stack")
    with EmbeddedServer() as server:
        limits = json.dumps({"lab": {"max_backlog": LIMIT}})
        with Stack(
            directory,
            server,
            STREAMS_LIMITS=limits,
            BRIDGE_BACKLOG_RETRY_SECONDS="0.4",
            BRIDGE_BACKLOG_RETRY_MAX_SECONDS="1",
            BRIDGE_MEMORY_SECONDS="0",
        ) as stack:
            celery, bridge = stack.celery(TEST_STOP_FILE=str(directory / "stop")), stack.bridge()
            stack.worker()
            stack.start(celery, bridge)
            yield stack


@pytest.fixture
def celery(stack: Stack) -> Process:
    celery = stack.processes["celery"]
    celery.start()
    celery.wait_ready()
    return celery


@pytest.fixture(autouse=True)
def no_worker(stack: Stack) -> Iterator[None]:
    """Each test begins without a stream worker, and ends with an empty stream."""
    yield
    stack.processes["worker"].start()
    stack.processes["celery"].start()
    wait_until(lambda: stack.redis.zcard(stack.keys.open_jobs) == 0)
    stack.processes["worker"].crash()
    (stack.directory / "stop").unlink(missing_ok=True)


def test_what_finds_a_full_stream_waits_as_retry_and_runs_once_in_the_end(stack: Stack, celery: Process) -> None:
    results = [stack.send("echo", value=number) for number in range(8)]
    wait_until(lambda: stack.states(results) == {"DISPATCHED": LIMIT, "RETRY": 8 - LIMIT}, message=lambda: str(stack.states(results)))
    assert LIMIT == stack.redis.xlen(stack.lab.commands)
    refused = next(result for result in results if stack.state(result) == "RETRY")
    assert Stage.RETRYING is JobInfo.of(refused).stage
    reason = refused.result
    assert isinstance(reason, BacklogFull)
    assert "2 commands wait on mgmt:lab:commands, its max_backlog is 2" in str(reason)
    stack.start(stack.processes["worker"])
    assert [{"value": number} for number in range(8)] == [stack.get(result) for result in results]
    assert {1: 8} == stack.run_counts(results)
    # No retry of the task's: its own number is still 0.
    assert all(stack.redis.hget(stack.keys.job(_publish(stack, result.id)), "retries") == "0" for result in results)


def test_a_chain_and_a_chord_wait(stack: Stack, celery: Process) -> None:
    fillers = [stack.send("echo", value=0) for _ in range(LIMIT)]
    stack.wait_for_states(fillers, "DISPATCHED")
    in_chain = chain(stack.task("echo", value=1), stack.task("echo", value=2)).apply_async()
    in_chord = chord(group(stack.task("echo", value=number) for number in range(3)), stack.caller.signature("lab.total")).apply_async()
    stack.wait_for_states([in_chain.parent, *in_chord.parent.results], "RETRY")
    stack.start(stack.processes["worker"])
    assert {"value": 2} == stack.get(in_chain)
    assert 3 == stack.get(in_chord)


def test_over_the_memory_budget_tasks_wait_too_and_are_told_why(stack: Stack, celery: Process) -> None:
    stack.start(stack.processes["worker"])
    stack.redis.set(stack.keys.over_memory, "700 MiB of 512 MiB (STREAMS_MEMORY_MIB)", ex=600)
    result = stack.send("echo", value=1)
    stack.wait_for_states([result], "RETRY")
    assert "the streams are over their memory budget: 700 MiB of 512 MiB (STREAMS_MEMORY_MIB)" in str(result.result)
    stack.redis.delete(stack.keys.over_memory)
    assert {"value": 1} == stack.get(result)


def test_a_task_that_waits_is_tried_again_ever_more_rarely(stack: Stack, celery: Process) -> None:
    """No busy loop: each time the wait doubles, up to its limit; the message counts how often."""
    fillers = [stack.send("echo", value=0) for _ in range(LIMIT)]
    stack.wait_for_states(fillers, "DISPATCHED")
    refused = stack.send("echo", value=1)
    said = re.compile(rf"task {refused.id} isn't dispatched now: .*; tried again in ([\d.]+) s")
    wait_until(lambda: len(said.findall(celery.log)) >= 4)
    waits = [float(wait) for wait in said.findall(celery.log)]
    for wait, full in zip(waits, (0.4, 0.8, 1.0, 1.0), strict=False):
        assert full / 2 - 0.05 <= wait <= full + 0.05


def test_a_task_that_was_put_off_can_be_revoked(stack: Stack, celery: Process) -> None:
    fillers = [stack.send("echo", value=0) for _ in range(LIMIT)]
    stack.wait_for_states(fillers, "DISPATCHED")
    refused = stack.send("echo", value=1)
    stack.wait_for_states([refused], "RETRY")
    refused.revoke()
    stack.wait_for_states([refused], "REVOKED")
    stack.start(stack.processes["worker"])
    stack.wait_for_states(fillers, "SUCCESS")
    assert [] == stack.runs(refused)


def test_what_expires_while_it_is_put_off_is_revoked(stack: Stack, celery: Process) -> None:
    fillers = [stack.send("echo", value=0) for _ in range(LIMIT)]
    stack.wait_for_states(fillers, "DISPATCHED")
    refused = stack.task("echo", value=1).apply_async(expires=4)
    stack.wait_for_states([refused], "RETRY")
    stack.wait_for_states([refused], "REVOKED")


@pytest.mark.chaos
@pytest.mark.parametrize(
    "point", ["before dispatch", "after dispatch", "before publish", "after publish", "before put_state RETRY", "after put_state RETRY", "after ack"]
)
def test_a_celery_worker_that_dies_while_it_puts_a_task_off_loses_nothing(stack: Stack, celery: Process, point: str) -> None:
    fillers = [stack.send("echo", value=0) for _ in range(LIMIT)]
    stack.wait_for_states(fillers, "DISPATCHED")
    # Their acknowledgements come after their states, and would be taken for the one that is meant.
    wait_until(lambda: not any(filler.id in row for row in _unacknowledged(stack) for filler in fillers), message="the fillers are acknowledged")
    stop = stack.directory / "stop"
    stop.write_text(point)
    refused = stack.send("echo", value=7)
    # The pool's process dies alone, but for the acknowledgement, which is the worker's.
    wait_until(lambda: not stop.exists(), message=f"somebody comes to {point}")
    wait_until(lambda: not celery.running if point == "after ack" else True)
    celery.start()
    stack.wait_for_states([refused], "RETRY")
    stack.start(stack.processes["worker"])
    assert {"value": 7} == stack.get(refused)
    assert {1: 1} == stack.run_counts([refused])


def _unacknowledged(stack: Stack) -> list[str]:
    rows: Any = stack.broker.hvals("unacked")
    return [row.decode() if isinstance(row, bytes) else row for row in rows]


def _publish(stack: Stack, task_id: str) -> str:
    known: Any = stack.redis.hgetall(stack.keys.task(task_id))
    (publish,) = [value for field, value in known.items() if field.startswith("publish:")]
    return str(publish)
