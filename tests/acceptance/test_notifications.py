"""What people are told by real bridges, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.stack import Stack
from tests.receiver import Receiver
from tests.waiting import wait_until

NOT_A_STREAM = "trading:mgmt:dead_letters"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def telling(stack: Stack, receiver: Receiver) -> Stack:
    """Two bridges that tell people."""
    how = {"NOTIFY_URLS": receiver.url, "NOTIFY_EVERY_SECONDS": "0.1", "NOTIFY_LOOK_SECONDS": "0.1"}
    stack.celery()
    stack.bridge("bridge1", **how)
    stack.bridge("bridge2", **how)
    stack.worker()
    stack.start()
    return stack


def told(receiver: Receiver, text: str) -> int:
    """How often; it stands in one line of a message's text."""
    return sum(text in line for message in receiver.messages for line in [message["title"], *message["message"].splitlines()])


def test_a_failed_task_is_told_once(telling: Stack, receiver: Receiver) -> None:
    result = telling.send("fail", message="no such pair")
    telling.wait_for_states([result], "FAILURE")
    wait_until(lambda: told(receiver, f"{result.id}: no such pair"), message=lambda: str(receiver.messages))
    assert told(receiver, "1 x lab.fail: HandlerError") == 1
    assert told(receiver, "1 failed tasks") == 1


def test_a_dead_letter_is_told_with_its_reason_also_when_celery_retries_the_task(telling: Stack, receiver: Receiver) -> None:
    once = telling.send("nobody_handles_this")
    telling.wait_for_states([once], "FAILURE")
    wait_until(lambda: told(receiver, "1 x lab: unknown_type"))
    wait_until(lambda: told(receiver, f"{once.id}: this lab worker has no handler"))
    assert told(receiver, "lab.nobody_handles_this") == 0


def test_a_success_is_not_told(telling: Stack, receiver: Receiver) -> None:
    result = telling.send("echo", value=1)
    telling.get(result)
    telling.wait_for_rest()
    assert told(receiver, result.id) == 0


def test_a_critical_verdict_and_its_end_are_told_by_one_of_the_bridges(telling: Stack, receiver: Receiver) -> None:
    telling.redis.set(NOT_A_STREAM, "something else")
    wait_until(lambda: told(receiver, f"not_a_stream: {NOT_A_STREAM}"))
    telling.redis.delete(NOT_A_STREAM)
    wait_until(lambda: told(receiver, "the verdict is"), message=lambda: str(receiver.messages))
    assert told(receiver, f"not_a_stream: {NOT_A_STREAM}") == 1
    assert told(receiver, "the verdict is") == 1


def test_a_service_that_hangs_holds_up_no_result(telling: Stack, receiver: Receiver) -> None:
    receiver.may_answer.clear()
    receiver.asked.clear()
    before = len(receiver.messages)
    failed = telling.send("fail", message="while it hangs")
    assert receiver.asked.wait(20)
    results = [telling.send("echo", value=value) for value in range(5)]
    telling.wait_for_states([failed], "FAILURE")
    telling.wait_for_states(results, "SUCCESS")
    telling.wait_for_rest()
    assert len(receiver.messages) == before
    receiver.may_answer.set()
    wait_until(lambda: told(receiver, "while it hangs"))


def test_the_secret_of_the_url_is_in_no_log(telling: Stack) -> None:
    assert all("hunter2" not in process.log for process in telling.processes.values())
    assert "notices go to 1 of the 1 NOTIFY_URLS" in telling.processes["bridge1"].log
