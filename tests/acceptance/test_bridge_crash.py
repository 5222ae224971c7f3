"""A bridge may die at any moment: what it was at is done again, and the second copy of what it sent is recognised."""

from __future__ import annotations

import random

import pytest
from celery import chord
from celery.result import AsyncResult

from tests.acceptance.stack import Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos


@pytest.fixture(autouse=True)
def _running(stack: Stack) -> None:
    """No bridge; whatever bridges there were are dead."""
    if not stack.processes:
        stack.celery()
        stack.worker(concurrency=4)
        stack.bridge("one")
        stack.bridge("two")
        stack.start(stack.processes["celery"], stack.processes["worker"])
    for name in ("one", "two"):
        stack.processes[name].crash()


def send_linked(stack: Stack, number: int, prefix: str) -> tuple[list[AsyncResult], list[AsyncResult]]:
    """That many bridged tasks, each with a bridged link."""
    linked = [AsyncResult(f"{prefix}{index}", app=stack.caller) for index in range(number)]
    sent = [
        stack.task("echo", value=index).apply_async(link=stack.task("echo", value="link").set(task_id=link.id)) for index, link in enumerate(linked)
    ]
    return sent, linked


def answered(stack: Stack, results: list[AsyncResult]) -> bool:
    return len({result["task_id"] for result in stack.results_of(*results)}) == len(results)


def successes(stack: Stack, results: list[AsyncResult]) -> int:
    return stack.states(results)["SUCCESS"]


def test_results_that_came_while_there_was_no_bridge_are_resolved_once_there_is(stack: Stack) -> None:
    results = [stack.send("echo", value=number) for number in range(10)]
    wait_until(lambda: answered(stack, results))
    assert stack.states(results) == {"DISPATCHED": 10}
    stack.start(stack.processes["one"])
    stack.wait_for_states(results, "SUCCESS")
    assert [stack.get(result)["value"] for result in results] == list(range(10))
    stack.wait_for_rest()


def test_a_bridge_killed_again_and_again_while_it_resolves_loses_and_repeats_nothing(stack: Stack) -> None:
    bridge = stack.processes["one"]
    results, linked = send_linked(stack, 150, "killed")
    wait_until(lambda: answered(stack, results))
    for _ in range(2):
        so_far, more = successes(stack, results), random.randint(1, 30)
        bridge.start()
        wait_until(lambda: successes(stack, results) >= min(so_far + more, len(results)))  # noqa: B023 - called at once
        bridge.crash()
    stack.start(bridge)
    stack.wait_for_states([*results, *linked], "SUCCESS", timeout=40)
    stack.wait_for_rest()
    assert stack.run_counts([*results, *linked]) == {1: 300}
    assert stack.superseded() == []


def test_a_bridge_killed_after_its_results_has_nothing_to_do_when_it_returns(stack: Stack) -> None:
    bridge = stack.processes["one"]
    stack.start(bridge)
    results, linked = send_linked(stack, 10, "after")
    stack.wait_for_states([*results, *linked], "SUCCESS")
    stack.wait_for_rest()
    marks = [stack.redis.hgetall(stack.keys.mark(result.id)) for result in [*results, *linked]]
    bridge.crash()
    stack.start(bridge)
    assert stack.get(stack.send("echo", value="next")) == {"value": "next"}
    assert [stack.redis.hgetall(stack.keys.mark(result.id)) for result in [*results, *linked]] == marks
    assert "it is resolved again" not in bridge.log
    assert stack.run_counts([*results, *linked]) == {1: 20}


def test_two_bridges_share_the_results_and_one_takes_over_from_the_other(stack: Stack) -> None:
    one, two = stack.processes["one"], stack.processes["two"]
    stack.start(one, two)
    results, linked = send_linked(stack, 100, "shared")
    wait_until(lambda: successes(stack, results) >= random.randint(20, 60))
    assert "succeeded in" in one.log
    one.crash()
    stack.wait_for_states([*results, *linked], "SUCCESS")
    assert "succeeded in" in two.log
    stack.wait_for_rest()
    assert stack.run_counts([*results, *linked]) == {1: 200}


def test_a_silent_bridge_that_comes_back_does_no_harm(stack: Stack) -> None:
    one, two = stack.processes["one"], stack.processes["two"]
    stack.start(one, two)
    results, linked = send_linked(stack, 60, "silent")
    wait_until(lambda: successes(stack, results) >= random.randint(1, 20))
    one.pause()
    try:
        stack.wait_for_states([*results, *linked], "SUCCESS")
        stack.wait_for_rest()
    finally:
        one.resume()
    more = [stack.send("echo", value=number) for number in range(20)]
    stack.wait_for_states(more, "SUCCESS")
    stack.wait_for_rest()
    assert stack.states([*results, *linked]) == {"SUCCESS": 120}
    assert stack.run_counts([*results, *linked]) == {1: 120}


def test_the_body_of_a_chord_runs_once_although_the_bridge_is_killed_over_its_parts(stack: Stack) -> None:
    """Celery ignores a part that comes back while a dead bridge's claim of the chord stands: it must be brought again."""
    bridge = stack.processes["one"]
    bodies = [
        chord([stack.task("echo", value=number) for number in range(5)], stack.task("echo", value="body"), app=stack.caller)() for _ in range(6)
    ]
    parts = [part for body in bodies for part in body.parent.results]
    wait_until(lambda: answered(stack, parts))
    bridge.start()
    wait_until(lambda: successes(stack, parts) >= random.randint(5, 25))
    bridge.crash()
    stack.start(bridge)
    stack.wait_for_states([*parts, *bodies], "SUCCESS", timeout=40)
    stack.wait_for_rest()
    assert stack.run_counts([*parts, *bodies]) == {1: 36}


def test_each_job_is_answered_by_one_message_alone(stack: Stack) -> None:
    """After all of the above."""
    assert stack.results_written() == len(stack.runs()) > 0
