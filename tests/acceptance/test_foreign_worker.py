"""Any program that reads a command and writes a result can be a worker; and no result that doesn't count is ever applied. Without a worker of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery.result import AsyncResult

from bridge import RemoteError
from streams.bus.topology import MANAGEMENT_CONSUMERS
from streams.errors import DecodeError
from tests.acceptance.stack import LAB, Stack
from tests.waiting import wait_until


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery()
    stack.bridge()
    stack.start()


@pytest.fixture(autouse=True)
def _at_rest(stack: Stack, _running: None) -> Iterator[None]:
    yield
    stack.wait_for_rest()


def take(stack: Stack) -> tuple[str, dict[str, str]]:
    """As a worker in another language: one command."""
    reply: Any = wait_until(lambda: stack.redis.xreadgroup(LAB.group, "foreigner", {LAB.commands: ">"}, count=1))
    [(entry, fields)] = reply[LAB.commands]
    return entry, fields


def answer(stack: Stack, command: dict[str, str], **fields: str) -> str:
    message: dict[Any, Any] = {"task_id": command["task_id"], "attempt": command["attempt"], **fields}
    return str(stack.redis.xadd(command["callback_stream"], message))


def finished(stack: Stack, value: int = 1) -> tuple[AsyncResult, dict[str, str]]:
    """A task whose foreign worker sent its result."""
    result = stack.send("echo", value=value)
    entry, command = take(stack)
    answer(stack, command, status="succeeded", data=json.dumps({"value": value}))
    stack.redis.xack(LAB.commands, LAB.group, entry)
    assert stack.get(result) == {"value": value}
    stack.wait_for_rest()
    return result, command


def test_a_result_needs_only_task_id_attempt_status_and_data(stack: Stack) -> None:
    result, command = finished(stack)
    assert (command["type"], json.loads(command["data"]), command["task_id"]) == ("test.echo", {"value": 1}, result.id)


def test_an_error_may_be_plain_text(stack: Stack) -> None:
    result = stack.send("echo", value=1)
    entry, command = take(stack)
    answer(stack, command, status="failed", error=json.dumps("it broke"))
    stack.redis.xack(LAB.commands, LAB.group, entry)
    with pytest.raises(RemoteError, match="JobError: it broke"):
        stack.get(result)


@pytest.mark.parametrize("named", [True, False], ids=["with a publish id", "without"])
def test_a_second_result_is_kept_aside_and_never_applied(stack: Stack, named: bool) -> None:
    result, command = finished(stack)
    identity = {"publish_id": command["publish_id"]} if named else {}
    second = answer(stack, command, status="failed", error='"late"', **identity)
    stack.wait_for_rest()
    assert stack.state(result) == "SUCCESS"
    aside = stack.superseded()[-1]
    assert (aside["task_id"], aside["status"], aside["source_stream"], aside["source_id"]) == (result.id, "failed", LAB.results, second)


def test_a_result_of_an_unknown_task_is_kept_aside(stack: Stack) -> None:
    entry = answer(stack, {"callback_stream": LAB.results, "task_id": "nobody's", "attempt": "1"}, status="succeeded", data="1")
    wait_until(lambda: entry in [aside["source_id"] for aside in stack.superseded()])


def test_a_result_that_is_delivered_again_does_nothing(stack: Stack) -> None:
    result, _ = finished(stack)
    before, aside = stack.redis.hgetall(stack.keys.mark(result.id)), len(stack.superseded())
    stack.redis.xgroup_setid(LAB.results, MANAGEMENT_CONSUMERS, "0")
    stack.wait_for_rest()
    assert stack.redis.hgetall(stack.keys.mark(result.id)) == before
    assert stack.state(result) == "SUCCESS"
    assert stack.processes["bridge"].log.count(f"[{result.id}] succeeded") == 1
    assert result.id not in {fields.get("task_id") for fields in stack.superseded()[aside:]}


def test_what_does_not_say_whose_result_it_is_is_kept_aside(stack: Stack) -> None:
    entry = stack.redis.xadd(LAB.results, {"nonsense": "1"})
    aside = wait_until(lambda: [aside for aside in stack.superseded() if aside["source_id"] == entry])
    assert {"nonsense": "1", "source_stream": LAB.results, "reason": "undecodable"}.items() <= aside[0].items()
    finished(stack, value=2)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"status": "perhaps"}, "status: Input should be"), ({"status": "succeeded", "data": "{"}, "data: not JSON")],
    ids=["unknown status", "data that is no JSON"],
)
def test_a_result_that_can_not_be_read_fails_its_task_and_says_why(stack: Stack, fields: dict[str, str], reason: str) -> None:
    result = stack.send("echo", value=1)
    entry, command = take(stack)
    answer(stack, command, **fields)
    stack.redis.xack(LAB.commands, LAB.group, entry)
    with pytest.raises(DecodeError, match=f"the worker's result can't be read: .*{reason}"):
        stack.get(result)


def test_bytes_that_are_no_text_are_kept_as_they_are(stack: Stack) -> None:
    entry = stack.redis.xadd(LAB.results, {"raw": b"\xff\xfe", b"\xff": "name"})
    aside = wait_until(lambda: [aside for aside in stack.superseded() if aside["source_id"] == entry])
    assert aside[0]["raw"].encode(errors="surrogateescape") == b"\xff\xfe"


def test_a_status_that_is_no_valid_one_is_dropped(stack: Stack) -> None:
    stack.redis.xadd(LAB.status, {"kind": "dancing"})
    finished(stack, value=3)
