"""Celery's own revoke reaches a job, wherever it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery import chain, chord
from celery.exceptions import ChordError, TaskRevokedError

from bridge import TolerantChord
from tests.acceptance.stack import GONE_SECONDS, Stack, is_gone
from tests.waiting import wait_until


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery()
    stack.bridge()
    stack.worker(concurrency=2)
    stack.start()


@pytest.fixture(autouse=True)
def _at_rest(stack: Stack, _running: None) -> Iterator[None]:
    yield
    stack.wait_for_rest()


def test_terminate_stops_a_running_job_and_a_plain_revoke_leaves_it_alone(stack: Stack) -> None:
    left_alone, stopped = stack.send("sleep", seconds=4), stack.send("sleep", seconds=60)
    run = stack.wait_for_run(stopped)
    stack.wait_for_run(left_alone)
    left_alone.revoke()
    stopped.revoke(terminate=True)
    with pytest.raises(TaskRevokedError, match="terminated"):
        stack.get(stopped)
    wait_until(lambda: is_gone(run.pid), GONE_SECONDS)
    assert stack.get(left_alone) == {"slept": 4.0}


def test_a_plain_revoke_keeps_a_waiting_job_from_starting(stack: Stack) -> None:
    busy = [stack.send("sleep", seconds=2) for _ in range(2)]
    for job in busy:
        stack.wait_for_run(job)
    waiting = stack.send("echo", value=1)
    wait_until(lambda: stack.state(waiting) == "DISPATCHED")
    waiting.revoke()
    with pytest.raises(TaskRevokedError):
        stack.get(waiting)
    assert stack.runs(waiting) == []


def test_a_revoked_part_fails_its_chord(stack: Stack) -> None:
    body = chord([stack.task("sleep", seconds=60), stack.task("echo", value=1)])(stack.caller.signature("lab.total"))
    part = body.parent.results[0]
    stack.wait_for_run(part)
    part.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):  # of the part: Celery raises a parent's error first
        stack.get(body)
    wait_until(lambda: stack.state(body) == "FAILURE")
    assert isinstance(body.result, ChordError)


def test_parts_that_may_fail_keep_their_states_and_their_chord_goes_on(stack: Stack) -> None:
    parts = [
        stack.task("echo", value=1),
        stack.task("fail", message="no"),
        stack.task("sleep", seconds=60),
        stack.task("echo", value=1).set(headers={"lane": "none"}),
        chain(stack.task("fail", message="its head"), stack.task("echo", value=1)),
        chain(stack.task("echo", value=1), stack.task("echo", value=2)),
    ]
    for number, part in enumerate(parts):
        last = part.tasks[-1] if "tasks" in part.kwargs else part
        last.set(headers={**last.options.get("headers", {}), "chord_part": {"number": number}})
    body = TolerantChord(parts, stack.caller.signature("lab.gather"), app=stack.caller).apply_async()
    running = body.parent.results[2]
    stack.wait_for_run(running)
    running.revoke(terminate=True)
    whole, *failed, last = stack.get(body)
    assert (whole, last) == ({"value": 1}, {"value": 2})
    assert [(part["number"], part["state"], part["error"]["type"]) for part in failed] == [
        (1, "FAILURE", "HandlerError"),
        (2, "REVOKED", "TaskRevokedError"),
        (3, "FAILURE", "UnknownLane"),
        (4, "FAILURE", "HandlerError"),
    ]
    assert [part["task_id"] for part in failed] == [part.id for part in body.parent.results[1:5]]
    assert [stack.state(part) for part in body.parent.results] == ["SUCCESS", "FAILURE", "REVOKED", "FAILURE", "FAILURE", "SUCCESS"]
