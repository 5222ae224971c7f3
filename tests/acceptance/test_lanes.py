"""A service with lanes, by configuration only: what is urgent runs first, and what comes back stays on its lane."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from celery import group

from streams.embedded import EmbeddedServer
from tests.acceptance.stack import LAB, Stack
from tests.waiting import wait_until

LANES = replace(LAB, lanes=("urgent", "normal"))


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    services = json.dumps({"lab": {"handlers": ["tests.handlers"], "lanes": LANES.lanes}})
    with Stack(tmp_path_factory.mktemp("stack"), own_server, STREAMS_SERVICES=services, BRIDGE_MEMORY_SECONDS="0") as stack:
        stack.lab = LANES
        stack.celery()
        stack.bridge()
        stack.worker(imports=())
        stack.start()
        yield stack


@pytest.fixture(autouse=True)
def _at_rest(stack: Stack) -> Iterator[None]:
    yield
    stack.wait_for_rest()


def urgent(stack: Stack, name: str, **data: Any) -> Any:
    return stack.task(name, **data).set(headers={"lane": "urgent"})


def seen_on(stack: Stack, lane: str, task_id: str) -> int:
    """How often a command of that task was put on a lane; an idle bridge trims them."""
    rows: Any = stack.redis.xrange(LANES.command_stream(lane))
    return len([fields for _, fields in rows if fields["task_id"] == task_id])


def test_what_is_urgent_runs_before_what_waited_longer(stack: Stack) -> None:
    busy = stack.send("sleep", seconds=4)
    stack.wait_for_run(busy)
    ordinary = [stack.send("echo", value=number) for number in range(3)]
    stack.wait_for_states(ordinary, "DISPATCHED")
    rush = [urgent(stack, "echo", value=number).apply_async() for number in range(3)]
    stack.wait_for_states([*ordinary, *rush], "DISPATCHED")
    for result in [busy, *ordinary, *rush]:
        stack.get(result)
    order = [run.task_id for run in stack.runs(*ordinary, *rush)]
    assert order == [result.id for result in [*rush, *ordinary]]


def test_without_a_name_it_waits_in_the_last_lane(stack: Stack) -> None:
    result = stack.send("echo", value=1)
    assert stack.get(result) == {"value": 1}
    assert [0, 1] == [seen_on(stack, lane, result.id) for lane in LANES.lanes]


def test_a_delivery_after_a_passing_trouble_is_on_its_lane(stack: Stack) -> None:
    result = urgent(stack, "flaky", failures=1).apply_async()
    assert stack.get(result) == {"runs": 2}
    assert [2, 0] == [seen_on(stack, lane, result.id) for lane in LANES.lanes]


def test_celerys_retry_stays_on_its_lane(stack: Stack) -> None:
    result = urgent(stack, "retried", failures=3).apply_async()
    assert stack.get(result) == {"runs": 4}
    assert [4, 0] == [seen_on(stack, lane, result.id) for lane in LANES.lanes]
    assert [letter["source_stream"] for letter in stack.dead_letters() if letter["task_id"] == result.id] == [LANES.command_stream("urgent")]


def test_a_task_that_was_put_off_stays_on_its_lane(stack: Stack) -> None:
    stack.redis.set(stack.keys.over_memory, "much", ex=600)
    result = urgent(stack, "echo", value=1).apply_async()
    stack.wait_for_states([result], "RETRY")
    stack.redis.delete(stack.keys.over_memory)
    stack.get(result)
    assert [1, 0] == [seen_on(stack, lane, result.id) for lane in LANES.lanes]


def test_a_lane_goes_with_its_signature_through_a_group(stack: Stack) -> None:
    results = group(urgent(stack, "echo", value=number) for number in range(2)).apply_async()
    assert stack.get(results) == [{"value": 0}, {"value": 1}]
    assert [1, 1] == [seen_on(stack, "urgent", result.id) for result in results]


def test_an_unknown_lane_fails_the_task_of_a_caller_that_doesnt_know_the_service(stack: Stack) -> None:
    result = stack.task("echo", value=1).apply_async(headers={"lane": "slow"})
    with pytest.raises(Exception, match="the service lab has no lane 'slow'; its lanes: urgent, normal"):
        stack.get(result)


def test_a_crashed_workers_job_is_taken_from_its_lane(stack: Stack) -> None:
    result = urgent(stack, "sleep", seconds=1).apply_async()
    stack.wait_for_run(result)
    worker = stack.processes["worker"]
    worker.crash()
    stack.start(worker)
    assert stack.get(result) == {"slept": 1}
    wait_until(lambda: len(stack.runs(result)) == 2)


def test_commands_that_come_on_two_lanes_at_one_moment_run_one_after_the_other(stack: Stack) -> None:
    with stack.redis.pipeline(transaction=True) as pipe:
        for lane in LANES.lanes:
            command: dict[Any, Any] = {"type": "test.sleep", "task_id": f"twin-{lane}", "attempt": "1", "callback_stream": "twins"}
            pipe.xadd(LANES.command_stream(lane), {**command, "data": '{"seconds": 0.5}'})
        pipe.execute()
    wait_until(lambda: stack.redis.xlen("twins") == 2)
    first, second = (run for run in stack.runs() if run.task_id.startswith("twin-"))
    assert {first.task_id, second.task_id} == {"twin-urgent", "twin-normal"}
    assert second.at - first.at > 0.5
    assert (first.delivery, second.delivery) == (1, 1)
