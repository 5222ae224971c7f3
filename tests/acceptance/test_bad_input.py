"""What is wrong with a task or a command is said, and stops nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import NotRegistered

from bridge import PoisonCommand
from streams.errors import PayloadTooLarge
from tests.acceptance.stack import LAB, Stack
from tests.waiting import wait_until


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery("celery", "-I", "tests.acceptance.only_in_workers")
    stack.bridge(BRIDGE_MAX_RESOLVE_ATTEMPTS="2")
    stack.worker()
    stack.start()


@pytest.fixture(autouse=True)
def _at_rest(stack: Stack, _running: None) -> Iterator[None]:
    """Whatever was sent, the next job runs."""
    yield
    assert stack.get(stack.send("echo", value=1)) == {"value": 1}
    stack.wait_for_rest()


BAD_COMMANDS: dict[str, dict[Any, Any]] = {
    "nothing of a command": {"hello": "world"},
    "no task id": {"type": "test.echo", "callback_stream": LAB.results},
    "a bad number": {"type": "test.echo", "task_id": "t", "callback_stream": LAB.results, "attempt": "first"},
    "data that is no JSON": {"type": "test.echo", "task_id": "t", "callback_stream": LAB.results, "data": "{"},
    "bytes that are no text": {"type": b"\xff\xfe", b"\xff": "t"},
}


@pytest.mark.parametrize("fields", BAD_COMMANDS.values(), ids=BAD_COMMANDS)
def test_an_entry_that_is_no_valid_command_is_parked_and_the_worker_goes_on(stack: Stack, fields: dict[Any, Any]) -> None:
    runs = len(stack.runs())
    entry = stack.redis.xadd(LAB.commands, fields)
    letter = wait_until(lambda: [letter for letter in stack.dead_letters() if letter["source_id"] == entry])[0]
    raw = {key.encode(errors="surrogateescape"): value.encode(errors="surrogateescape") for key, value in letter.items()}
    sent = {key if isinstance(key, bytes) else key.encode(): value if isinstance(value, bytes) else value.encode() for key, value in fields.items()}
    assert sent.items() <= raw.items()
    assert (letter["source_stream"], letter["reason"]) == (LAB.commands, "undecodable")
    assert json.loads(letter["error"])["message"]
    assert len(stack.runs()) == runs


def test_an_unknown_type_fails_the_task_and_names_the_known_ones(stack: Stack) -> None:
    result = stack.send("nobody_handles_this")
    with pytest.raises(PoisonCommand, match=r"unknown_type .*no handler for 'test.nobody_handles_this'; it has: .*test.echo"):
        stack.get(result)
    letter = stack.dead_letters()[-1]
    assert (letter["task_id"], letter["reason"]) == (result.id, "unknown_type")


def test_a_payload_over_the_limit_is_never_sent(stack: Stack) -> None:
    sent = stack.redis.xlen(LAB.commands)
    with pytest.raises(PayloadTooLarge, match=r"lab.echo has 2,000,\d+ bytes, STREAMS_MAX_MESSAGE_BYTES allows 1,048,576"):
        stack.get(stack.send("echo", value="x" * 2_000_000))
    assert stack.redis.xlen(LAB.commands) == sent


def test_a_result_over_the_limit_is_a_failure_that_says_what_to_do(stack: Stack) -> None:
    with pytest.raises(PayloadTooLarge, match=r"the result has 3,000,\d+ bytes.*job.artifact"):
        stack.get(stack.send("large", size=3_000_000))


def test_a_task_that_the_bridge_does_not_know_fails_and_names_it(stack: Stack) -> None:
    result = stack.send("only_in_workers", value=1)
    with pytest.raises(NotRegistered, match=r"lab\.only_in_workers"):
        stack.get(result)
    assert len(stack.runs(result)) == 1
