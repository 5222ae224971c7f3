"""`on_dead_letter="park"`: the task is DEAD_LETTERED, and all that waits for it goes on waiting, until an operator redrives or discards it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord
from celery.exceptions import ChordError, TaskRevokedError
from celery.result import AsyncResult

from bridge import DeadLettered, JobInfo
from streams.embedded import EmbeddedServer
from tests.acceptance.operator import Operator
from tests.acceptance.stack import Stack
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    limits = {"STREAMS_MAX_DELIVERIES": "2", "WORKER_RETRY_BASE_SECONDS": "0.05"}
    with Stack(tmp_path_factory.mktemp("stack"), own_server, None, **limits) as stack:
        stack.celery("celery", "-P", "solo")
        stack.bridge()
        stack.worker("worker", 2)
        stack.start()
        yield stack


@pytest.fixture
def operator(stack: Stack) -> Operator:
    return Operator(stack)


@pytest.fixture
def cure(tmp_path: Path) -> Path:
    """A file without which `lab.parked` fails."""
    return tmp_path / "cure"


def wait_until_parked(stack: Stack, *results: AsyncResult) -> None:
    def all_are() -> bool:
        publishes = map(str, stack.redis.zrange(stack.keys.parked_jobs, 0, -1))
        return {result.id for result in results} <= {stack.redis.hget(stack.keys.job(publish), "task_id") for publish in publishes}

    stack.wait_for_states(results, "DEAD_LETTERED")
    wait_until(all_are)


def parked(stack: Stack, cure: Path, name: str = "parked", **data: Any) -> AsyncResult:
    result = stack.send(name, path=str(cure), **data)
    wait_until_parked(stack, result)
    return result


def at_rest(stack: Stack) -> None:
    """Nothing is parked, and nothing is kept for ever."""
    wait_until(lambda: not stack.redis.zcard(stack.keys.parked_jobs))
    stack.wait_for_rest()


def test_its_state_says_why_and_get_waits_until_it_is_redriven(stack: Stack, operator: Operator, cure: Path) -> None:
    result = parked(stack, cure, value=1)
    assert not result.ready()
    state_key = stack.caller.backend.get_key_for_task(result.id)
    assert stack.redis.ttl(state_key) == -1, "it waits for as long as it must"
    letter = operator.letter_of(result.id)
    info = AsyncResult(result.id, app=stack.caller).info
    assert info.pop("worker").startswith("lab@")
    assert info == {"reason": "exhausted", "message": "Retryable: cure is missing", "dead_letter_id": letter, "deliveries": 2}
    assert [each["state"] for each in operator.letters() if each["id"] == letter] == ["parked"]
    assert "its task waits for it" in operator.cannot("purge", letter)
    cure.touch()
    with stack.meanwhile(lambda: operator.does("redrive", result.id)):
        assert stack.get(result) == {"value": 1}
    at_rest(stack)
    assert stack.state(result) == "SUCCESS"
    assert stack.redis.ttl(state_key) > 0
    assert [run.attempt for run in stack.runs(result)] == [1, 1, 2]


def test_its_chord_and_its_chain_finish_as_if_nothing_had_happened(stack: Stack, operator: Operator, cure: Path) -> None:
    body = chord([stack.task("parked", path=str(cure), value=1), stack.task("echo", value=2)])(stack.caller.signature("lab.total"))
    of_chain = chord(
        [chain(stack.task("parked", path=str(cure), value=3), stack.task("echo", value=4)), stack.task("echo", value=5)],
    )(stack.caller.signature("lab.total"))
    end = chain(stack.task("parked", path=str(cure), value=6), stack.task("echo", value=7)).apply_async()
    heads = [body.parent.results[0], of_chain.parent.results[0].parent, end.parent]
    wait_until(lambda: stack.redis.zcard(stack.keys.parked_jobs) == 3)
    stack.wait_for_states(heads, "DEAD_LETTERED")
    assert set(stack.states([body, of_chain, end, of_chain.parent.results[0]])) == {"PENDING"}
    cure.touch()
    assert operator.does("redrive", "--all", "--reason", "exhausted").endswith("3 of 3\n")
    assert [stack.get(body), stack.get(of_chain), stack.get(end)] == [3, 9, {"value": 7}]
    at_rest(stack)
    for each in (body, of_chain):
        assert [key for key in stack.redis.keys(f"*{each.parent.id}*") if stack.redis.ttl(key) == -1] == []


def test_discarded_it_fails_with_its_errbacks_its_chord_and_its_chain(stack: Stack, operator: Operator, cure: Path) -> None:
    errback = AsyncResult(f"errback-{cure.parent.name}", app=stack.caller)
    head = stack.task("parked", path=str(cure)).set(link_error=stack.task("echo", value="errback").set(task_id=errback.id))
    end = chain(head, stack.task("echo", value=1)).apply_async()
    body = chord([stack.task("parked", path=str(cure)), stack.task("echo", value=2)])(stack.caller.signature("lab.total"))
    part = body.parent.results[0]
    wait_until_parked(stack, end.parent, part)
    assert not stack.runs(errback)
    assert "its task would fail" in operator.does("discard", end.parent.id, "--dry-run")
    assert operator.does("discard", end.parent.id, part.id).endswith("2 of 2\n")
    stack.wait_for_states([end.parent, end, part, body], "FAILURE")
    error = AsyncResult(part.id, app=stack.caller).result
    assert (type(error), error.reason, error.deliveries) == (DeadLettered, "exhausted", 2)
    assert isinstance(AsyncResult(body.id, app=stack.caller).result, ChordError)
    assert stack.get(errback) == {"value": "errback"}
    at_rest(stack)
    assert "there is nothing to discard" in operator.cannot("discard", part.id)
    cure.touch()
    operator.does("redrive", part.id)
    stack.wait_for_states([part], "SUCCESS")
    at_rest(stack)
    assert stack.state(body) == "FAILURE"


@pytest.mark.parametrize("terminate", [False, True])
def test_revoked_it_is_revoked(stack: Stack, operator: Operator, cure: Path, *, terminate: bool) -> None:
    result = parked(stack, cure)
    stack.caller.control.revoke(result.id, terminate=terminate)
    with pytest.raises(TaskRevokedError):
        stack.get(result)
    at_rest(stack)
    assert "revoked" in operator.cannot("redrive", result.id)
    assert stack.state(result) == "REVOKED"


def test_revoked_by_a_stamp_it_is_revoked(stack: Stack, cure: Path) -> None:
    signature = stack.task("parked", path=str(cure))
    signature.stamp(customer="acme")
    result = signature.apply_async()
    wait_until_parked(stack, result)
    stack.caller.control.revoke_by_stamped_headers({"customer": "acme"})
    stack.wait_for_states([result], "REVOKED")
    at_rest(stack)


def test_celerys_retries_come_first(stack: Stack, operator: Operator, cure: Path) -> None:
    result = parked(stack, cure, "parked_retried", value=1)
    assert [(run.attempt, run.delivery) for run in stack.runs(result)] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert stack.redis.zcard(stack.keys.parked_jobs) == 1
    operator.does("redrive", result.id)  # it fails again, and has no retry left
    wait_until(lambda: len(stack.runs(result)) == 6)
    wait_until_parked(stack, result)
    first = next(letter for letter in operator.letters() if letter["fields"]["task_id"] == result.id)
    assert "is parked: redrive that one" in operator.cannot("redrive", first["id"]) or first["state"] == "running"
    cure.touch()
    operator.does("redrive", result.id)
    assert stack.get(result) == {"value": 1}
    at_rest(stack)


def test_who_asks_is_told_and_nothing_else_minds(stack: Stack, operator: Operator, cure: Path) -> None:
    result = parked(stack, cure)
    info = JobInfo.of(result)
    assert (info.stage, info.state, info.deliveries, info.position()) == ("parked", "DEAD_LETTERED", 2, None)
    inspect = stack.caller.control.inspect(timeout=2)
    assert [task for tasks in (inspect.active() or {}).values() for task in tasks] == []
    assert inspect.query_task(result.id) is not None
    assert stack.get(stack.send("echo", value="another")) == {"value": "another"}
    bridge = stack.processes["bridge"]
    bridge.crash()
    stack.start(bridge)
    assert JobInfo.of(result).stage == "parked"
    operator.does("discard", result.id)
    stack.wait_for_states([result], "FAILURE")
    at_rest(stack)
    assert "can't be resolved" not in bridge.log


def test_a_redrive_and_a_revoke_at_once_end_in_one_of_the_two(stack: Stack, operator: Operator, cure: Path) -> None:
    result = parked(stack, cure, value=1)
    cure.touch()
    with stack.meanwhile(lambda: operator.run("redrive", result.id)):
        stack.caller.control.revoke(result.id, terminate=True)
    stack.wait_for_states([result], "SUCCESS", "REVOKED")
    at_rest(stack)
