"""A foreign worker that takes a job and falls silent: it is taken away from it (R11), and the task ends all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bridge import PoisonCommand
from bridge.connection import Connection
from bridge.maintenance.reaping import reap_silent
from streams.bus.topology import SERVICES, add_service
from tests.acceptance.stack import LAB, Stack
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _foreign(stack: Stack) -> Iterator[None]:
    """As `STREAMS_SERVICES='{"lab": {"reap_after_seconds": 0.1}}'` says it."""
    if not stack.processes:
        stack.celery()
        stack.bridge()
        stack.start()
    add_service(LAB)
    SERVICES[LAB.name] = replace(LAB, reap_after_seconds=0.1)
    yield
    SERVICES[LAB.name] = LAB
    stack.wait_for_rest()


def take(stack: Stack) -> tuple[str, dict[str, str]]:
    reply: Any = wait_until(lambda: stack.redis.xreadgroup(LAB.group, "foreigner", {LAB.commands: ">"}, count=1))
    [(entry, fields)] = reply[LAB.commands]
    return entry, fields


def reap(stack: Stack) -> dict[str, int]:
    return wait_until(lambda: reap_silent(Connection.of(stack.caller)))


def test_another_delivery_ends_it_and_a_late_answer_loses(stack: Stack) -> None:
    result = stack.send("echo", value=1)
    first, command = take(stack)
    assert reap(stack) == {"reaped": 1}
    second, again = take(stack)
    assert (again["publish_id"], again["deliveries"]) == (command["publish_id"], "1")
    stack.redis.xadd(LAB.results, {"task_id": result.id, "attempt": "1", "status": "succeeded", "data": '{"value": 2}'})
    stack.redis.xack(LAB.commands, LAB.group, second)
    assert stack.get(result) == {"value": 2}
    stack.redis.xadd(LAB.results, {"task_id": result.id, "attempt": "1", "status": "succeeded", "data": '{"value": 1}'})
    stack.redis.xack(LAB.commands, LAB.group, first)
    wait_until(stack.superseded)
    assert stack.state(result) == "SUCCESS"


def test_one_that_nobody_answers_is_poison_in_the_end(stack: Stack) -> None:
    result = stack.send("echo", value=1)
    for verdict in ("reaped", "reaped", "dead_lettered"):
        take(stack)
        assert reap(stack) == {verdict: 1}
    with pytest.raises(PoisonCommand, match=r"poison after 3 deliveries .*silent for too long"):
        stack.get(result)


def test_a_revoke_of_what_it_holds_is_answered_for_it(stack: Stack) -> None:
    result = stack.send("echo", value=1)
    take(stack)
    stack.caller.control.revoke(result.id, terminate=True)
    job = stack.keys.job(str(stack.redis.hget(stack.keys.task(result.id), "publish:1")))
    wait_until(lambda: stack.redis.hexists(job, "cancel"))
    assert reap(stack) == {"cancelled": 1}
    stack.wait_for_states([result], "REVOKED")
