"""While some parts of a deployment are of a newer version: what an older one can't read it leaves alone, and goes on with the rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from streams.bus.reader import NEWER_SCHEMA
from streams.bus.topology import MANAGEMENT_CONSUMERS
from tests.acceptance.stack import LAB, Stack
from tests.waiting import wait_until

WHOSE = {LAB.commands: LAB.group, LAB.results: MANAGEMENT_CONSUMERS}


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> Iterator[None]:
    stack.celery()
    stack.bridge()
    stack.worker()
    stack.start()
    yield
    wait_until(lambda: all(stack.redis.xpending(stream, group)["pending"] == 0 for stream, group in WHOSE.items()))


def holder(stack: Stack, stream: str, entry: str) -> tuple[str, int] | None:
    pending = stack.redis.xpending_range(stream, WHOSE[stream], entry, entry, 1)
    return (str(pending[0]["consumer"]), int(pending[0]["times_delivered"])) if pending else None


def read_by_a_newer_consumer(stack: Stack, stream: str, entry: str) -> dict[str, str]:
    claimed: Any = wait_until(lambda: stack.redis.xclaim(stream, WHOSE[stream], "newer", 0, [entry]))
    stack.redis.xack(stream, WHOSE[stream], entry)
    return dict(claimed[0][1])


def wait_until_tried_again(stack: Stack, stream: str, entry: str) -> None:
    """It was left, lay there for a lease, and was claimed and left again: its idle time begins anew."""
    idle: list[int] = []

    def left_again() -> bool:
        rows = stack.redis.xpending_range(stream, WHOSE[stream], entry, entry, 1, NEWER_SCHEMA)
        idle.extend(int(row["time_since_delivered"]) for row in rows)
        return len(idle) > 1 and idle[-1] < idle[-2]

    wait_until(left_again)
    assert max(idle) >= 500  # it doesn't spin
    wait_until(lambda: holder(stack, stream, entry) == (NEWER_SCHEMA, 0))


@pytest.mark.parametrize("stream", WHOSE)
def test_what_is_of_a_newer_schema_is_neither_acknowledged_nor_parked(stack: Stack, stream: str) -> None:
    before = (len(stack.dead_letters()), len(stack.superseded()))
    entry = str(stack.redis.xadd(stream, {"schema": "2", "task_id": "t", "body": "of a form that we don't know"}))
    wait_until_tried_again(stack, stream, entry)
    assert stack.get(stack.send("echo", value=1)) == {"value": 1}
    assert read_by_a_newer_consumer(stack, stream, entry)["body"] == "of a form that we don't know"
    assert (len(stack.dead_letters()), len(stack.superseded())) == before
    logs = "".join(process.log_file.read_text() for process in stack.processes.values())
    assert logs.count(f"{stream}: entry {entry} is left for a newer consumer") == 1


def test_an_older_workers_result_resolves_its_task(stack: Stack) -> None:
    """As a worker of the version before writes it."""
    stack.processes["worker"].crash()
    result = stack.send("echo", value=2)
    reply: Any = wait_until(lambda: stack.redis.xreadgroup(LAB.group, "older", {LAB.commands: ">"}, count=1))
    [(entry, command)] = reply[LAB.commands]
    data: dict[Any, Any] = {
        "schema": "0",
        "task_id": command["task_id"],
        "attempt": command["attempt"],
        "status": "succeeded",
        "data": json.dumps({"value": 2}),
    }
    stack.redis.xadd(command["callback_stream"], data)
    stack.redis.xack(LAB.commands, LAB.group, entry)
    assert stack.get(result) == {"value": 2}
