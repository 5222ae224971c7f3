"""What a caller sees of bridged tasks: the same as of any Celery task."""

from __future__ import annotations

from typing import Any

import pytest
from celery import chain, chord, group
from celery.result import AsyncResult

from bridge import DeadLettered, RemoteError
from tests.acceptance.stack import Stack
from tests.waiting import wait_until


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery()
    stack.bridge()
    stack.worker(concurrency=4, STREAMS_MAX_DELIVERIES="2")
    stack.start()


@pytest.fixture(autouse=True)
def _at_rest(stack: Stack, _running: None) -> Any:
    yield
    stack.wait_for_rest()


def test_the_result_of_a_task_is_what_its_job_returned(stack: Stack) -> None:
    result = stack.send("echo", value=1, nested={"list": [1, 2.5, None, "ä"]})
    assert stack.get(result) == {"value": 1, "nested": {"list": [1, 2.5, None, "ä"]}}
    assert result.successful()


def test_a_failure_carries_the_remote_type_message_and_traceback(stack: Stack) -> None:
    result = stack.send("fail", message="no candles")
    with pytest.raises(RemoteError) as caught:
        stack.get(result)
    assert (caught.value.type, caught.value.message) == ("HandlerError", "no candles")
    assert "tests/handlers.py" in result.traceback
    assert "ValueError: the cause" in result.traceback
    assert len(stack.runs(result)) == 1


def test_a_wrong_parameter_fails_with_its_name(stack: Stack) -> None:
    with pytest.raises(RemoteError, match=r"BadRequest: test.sleep: bad data:\n  secs: "):
        stack.get(stack.send("sleep", secs=2))


def test_a_caller_sees_each_state(stack: Stack) -> None:
    seen: list[dict[str, Any]] = []
    result = stack.send("sleep", seconds=2, steps=4)
    result.get(timeout=30, on_message=seen.append)
    # A free worker may have started before DISPATCHED is stored: it isn't, then (R2). That a waiting job is DISPATCHED is shown in test_busy_worker.
    if seen[0]["status"] == "DISPATCHED":
        del seen[0]
    states = [meta["status"] for meta in seen]
    assert states == ["STARTED", *["PROGRESS"] * (len(states) - 2), "SUCCESS"]
    started = seen[0]["result"]
    assert started["hostname"].startswith("lab@")
    assert started["pid"] > 0
    shown = [meta["result"] for meta in seen if meta["status"] == "PROGRESS"]
    assert shown
    assert {(info["total"], info["message"]) for info in shown} == {(4, "sleeping")}
    assert [info["current"] for info in shown] == sorted(info["current"] for info in shown)


def test_a_polling_caller_sees_the_progress(stack: Stack) -> None:
    result = stack.send("sleep", seconds=2, steps=4)
    wait_until(lambda: stack.state(result) == "PROGRESS")
    assert {"total": 4, "message": "sleeping"}.items() <= result.info.items()
    assert stack.get(result) == {"slept": 2}


def test_a_chain_passes_through_bridged_and_ordinary_tasks(stack: Stack) -> None:
    last = chain(stack.task("echo", value=1), stack.task("echo", value=2), stack.task("total", [{"value": 3}])).apply_async()
    assert stack.get(last) == 3
    assert stack.get(last.parent) == {"value": 2}
    assert stack.get(last.parent.parent) == {"value": 1}


def test_a_failed_link_of_a_chain_ends_it(stack: Stack) -> None:
    last = chain(stack.task("fail"), stack.task("echo", value=2)).apply_async()
    with pytest.raises(RemoteError):
        stack.get(last.parent)
    stack.wait_for_rest()
    assert stack.runs(last) == []


def test_a_group_gives_the_results_in_its_order(stack: Stack) -> None:
    results = group(stack.task("echo", value=number) for number in range(20)).apply_async()
    assert [value["value"] for value in stack.get(results)] == list(range(20))


def test_the_body_of_a_chord_gets_the_results_of_bridged_parts(stack: Stack) -> None:
    body = stack.caller.signature("lab.total")
    assert stack.get(chord([stack.task("echo", value=number) for number in range(8)], body, app=stack.caller)()) == sum(range(8))


def test_the_body_of_a_chord_may_be_bridged(stack: Stack) -> None:
    parts = [stack.task("echo", value=1), stack.task("total", [{"value": 2}])]
    result = chord(parts, stack.task("echo", value="body"), app=stack.caller)()
    assert stack.get(result) == {"value": "body"}
    assert len(stack.runs(result)) == 1


def test_the_body_of_a_chord_may_be_a_group_of_one_task(stack: Stack) -> None:
    body = group(stack.task("echo", value=number) for number in range(3))
    result = chord([stack.task("echo", value=1), stack.task("echo", value=2)], body, app=stack.caller)()
    assert stack.get(result) == [{"value": number} for number in range(3)]


def test_a_failed_part_fails_the_chord(stack: Stack) -> None:
    result = chord([stack.task("echo", value=1), stack.task("fail")], stack.task("total"), app=stack.caller)()
    wait_until(lambda: stack.state(result) == "FAILURE", message=lambda: stack.state(result))


def test_a_linked_task_runs_after_success_and_an_errback_after_failure(stack: Stack) -> None:
    linked, errback = stack.task("echo", value="linked").set(task_id="linked"), stack.task("echo", value="errback").set(task_id="errback")
    stack.get(stack.task("echo", value=1).apply_async(link=linked, link_error=errback))
    assert stack.get(AsyncResult("linked", app=stack.caller)) == {"value": "linked"}
    with pytest.raises(RemoteError):
        stack.get(stack.task("fail").apply_async(link=linked, link_error=errback))
    assert stack.get(AsyncResult("errback", app=stack.caller)) == {"value": "errback"}
    assert [run.task_id for run in stack.runs() if run.task_id in {"linked", "errback"}] == ["linked", "errback"]


def test_one_frozen_task_id_sent_twice_runs_twice(stack: Stack) -> None:
    frozen = stack.task("echo", value=1).set(task_id="frozen")
    result = frozen.apply_async()
    stack.get(result)
    frozen.apply_async()
    wait_until(lambda: len(stack.runs(result)) == 2)


def test_a_passing_trouble_is_over_at_the_next_delivery(stack: Stack) -> None:
    result = stack.send("flaky", failures=1)
    assert stack.get(result) == {"runs": 2}
    assert [(run.attempt, run.delivery) for run in stack.runs(result)] == [(1, 1), (1, 2)]
    assert stack.dead_letters() == []


def test_celery_retries_after_a_dead_letter(stack: Stack) -> None:
    result = stack.send("retried", failures=2)
    assert stack.get(result) == {"runs": 3}
    assert [(run.attempt, run.delivery) for run in stack.runs(result)] == [(1, 1), (1, 2), (2, 1)]
    assert [(letter["task_id"], letter["reason"]) for letter in stack.dead_letters()] == [(result.id, "exhausted")]


def test_a_job_that_kills_its_process_each_time_is_a_dead_letter(stack: Stack) -> None:
    result = stack.send("crash", signal=11, message="last words")
    with pytest.raises(Exception, match=r"(?s)poison after 2 deliveries.*SIGSEGV.*last words"):
        stack.get(result)
    assert len(stack.runs(result)) == 2


def test_a_used_up_task_without_retries_fails_as_dead_lettered(stack: Stack) -> None:
    result = stack.send("fail", message="server away", retryable=True)
    with pytest.raises(DeadLettered, match=r"exhausted after 2 deliveries .*Retryable: server away"):
        stack.get(result)
