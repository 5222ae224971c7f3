"""Dead letters: why there is one, what Celery makes of it, and redrive: the same `AsyncResult` goes from FAILURE through DISPATCHED to its new outcome."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord
from celery.exceptions import ChordError
from celery.result import AsyncResult

from bridge import DeadLettered, PoisonCommand
from bridge.errors import JobError
from streams.embedded import EmbeddedServer
from tests.acceptance.operator import Operator
from tests.acceptance.stack import LAB, Stack
from tests.waiting import wait_until

MAX_BYTES = 20_000


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    limits = {"STREAMS_MAX_DELIVERIES": "2", "WORKER_RETRY_BASE_SECONDS": "0.05"}
    with Stack(tmp_path_factory.mktemp("stack"), own_server, None, **limits) as stack:
        stack.celery("celery", "-P", "solo")
        stack.bridge()
        stack.worker("worker", 2, STREAMS_MAX_MESSAGE_BYTES=str(MAX_BYTES))
        stack.start()
        yield stack


@pytest.fixture
def operator(stack: Stack) -> Operator:
    return Operator(stack)


@pytest.fixture
def cure(tmp_path: Path) -> Path:
    """A file without which `lab.until` fails."""
    return tmp_path / "cure"


def failed(stack: Stack, cure: Path, name: str = "until", **data: Any) -> AsyncResult:
    """A task that has failed by a dead letter."""
    result = stack.send(name, path=str(cure), **data)
    stack.wait_for_states([result], "FAILURE")
    stack.wait_for_rest()
    return result


def outcome(stack: Stack, result: AsyncResult) -> Any:
    """What a caller that asks anew gets: whoever sent a task is told its states in their order, the failure first."""
    stack.wait_for_states([result], "SUCCESS")
    return AsyncResult(result.id, app=stack.caller).result


# ------------------------------------------------------------------------------------------------------------------------------------- reasons


def letters_of(stack: Stack, result: AsyncResult) -> list[tuple[str, str]]:
    return [(letter["reason"], letter["deliveries"]) for letter in stack.dead_letters() if letter.get("task_id") == result.id]


def test_passing_troubles_use_it_up(stack: Stack, cure: Path) -> None:
    result = stack.send("until", path=str(cure))
    with pytest.raises(DeadLettered, match=r"exhausted after 2 deliveries .*Retryable: cure is missing"):
        stack.get(result)
    assert letters_of(stack, result) == [("exhausted", "2")]


def test_a_job_that_kills_its_process_is_poison(stack: Stack, cure: Path) -> None:
    result = stack.send("until", path=str(cure), how="crash")
    with pytest.raises(PoisonCommand, match=r"(?s)poison after 2 deliveries .*SIGKILL"):
        stack.get(result)
    assert letters_of(stack, result) == [("poison", "2")]


def test_a_permanent_error_is_none(stack: Stack, cure: Path) -> None:
    result = failed(stack, cure, how="fail")
    assert letters_of(stack, result) == []
    assert len(stack.runs(result)) == 1


def foreign(stack: Stack, **fields: str) -> dict[str, str]:
    """What becomes of a command that no task of ours has sent: the fields of its dead letter."""
    command = {"type": "test.echo", "task_id": "foreign", "attempt": "1", "callback_stream": LAB.results, "data": "{}"} | fields
    known = len(stack.dead_letters())
    stack.redis.xadd(LAB.commands, command)  # type: ignore[arg-type]
    wait_until(lambda: len(stack.dead_letters()) > known)
    letter = stack.dead_letters()[-1]
    assert {name: letter[name] for name in command} == command
    return letter


def test_a_command_that_cant_be_read_is_undecodable(stack: Stack) -> None:
    assert foreign(stack, data="{")["reason"] == "undecodable"


def test_one_that_nobody_handles_is_told_apart(stack: Stack) -> None:
    assert foreign(stack, type="test.unheard_of")["reason"] == "unknown_type"


def test_one_that_is_too_large_is_oversize(stack: Stack) -> None:
    letter = foreign(stack, data='"' + "x" * MAX_BYTES + '"')
    assert letter["reason"] == "oversize"
    assert f"data has {MAX_BYTES + 2:,} bytes, STREAMS_MAX_MESSAGE_BYTES allows {MAX_BYTES:,}" in letter["error"]


def test_a_task_whose_command_is_too_large_for_the_worker_fails_as_oversize(stack: Stack) -> None:
    result = stack.send("echo", value="x" * MAX_BYTES)
    with pytest.raises(PoisonCommand, match=r"oversize after 1 deliveries .*PayloadTooLarge: data has"):
        stack.get(result)


def test_a_foreign_one_that_has_expired_is_told_as_expired(stack: Stack) -> None:
    letter = foreign(stack, expires_at=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
    assert (letter["reason"], letter["deliveries"]) == ("expired", "0")
    sent: Any = stack.redis.xrevrange(LAB.results, count=1)
    assert [fields["status"] for _, fields in sent] == ["expired"]


def test_an_expired_task_is_revoked_and_no_dead_letter(stack: Stack) -> None:
    known = len(stack.dead_letters())
    blocking = [stack.send("sleep", seconds=2) for _ in range(2)]
    stack.wait_for_states(blocking, "STARTED", "PROGRESS")
    late = stack.task("echo").apply_async(expires=1)
    stack.wait_for_states([late], "REVOKED")
    assert len(stack.dead_letters()) == known


# --------------------------------------------------------------------------------------------------------------------------- Celery's own layer


def test_celery_retries_under_the_same_id_while_its_chord_waits(stack: Stack, cure: Path) -> None:
    """State RETRY with the reason; then the chord finishes."""
    parts = [stack.task("until_retried", path=str(cure), value=1), stack.task("echo", value=2)]
    body = chord(parts)(stack.caller.signature("lab.total"))
    part = body.parent.results[0]
    seen: list[dict[str, Any]] = []

    def watched() -> bool:
        meta = stack.caller.backend.get_task_meta(part.id, cache=False)
        if meta["status"] == "RETRY":
            seen.append(meta)
            cure.touch()
        return bool(meta["status"] == "SUCCESS")

    wait_until(watched, 30)
    assert stack.get(body) == 3
    assert isinstance(seen[0]["result"], DeadLettered)
    assert seen[0]["result"].reason == "exhausted"
    stack.wait_for_rest()


def test_its_last_retry_fails_its_chord_and_its_chain(stack: Stack, cure: Path) -> None:
    end = chain(stack.task("until_retried", path=str(cure)), stack.task("echo", value=1)).apply_async()
    body = chord([stack.task("until_retried", path=str(cure)), stack.task("echo", value=1)])(stack.caller.signature("lab.total"))
    with pytest.raises(DeadLettered):
        stack.get(end.parent)
    stack.wait_for_states([body, end], "FAILURE")
    assert isinstance(AsyncResult(body.id, app=stack.caller).result, ChordError)
    stack.wait_for_rest()
    assert len(stack.runs(end.parent)) == 4, "2 deliveries of 2 attempts"


def test_a_retry_that_is_revoked_before_its_dispatch_leaves_nothing(stack: Stack, cure: Path) -> None:
    result = stack.send("retried", failures=99)
    stack.wait_for_states([result], "RETRY")
    result.revoke()
    stack.wait_for_states([result], "REVOKED")
    wait_until(lambda: not stack.redis.zcard(stack.keys.retrying_jobs))
    stack.wait_for_rest()


# ------------------------------------------------------------------------------------------------------------------------------------- redrive


def test_the_same_result_goes_from_failure_to_success(stack: Stack, operator: Operator, cure: Path) -> None:
    result = failed(stack, cure, value=1)
    cure.touch()
    worker = stack.processes["worker"]
    worker.pause()
    try:
        assert "sent again as run 2" in operator.does("redrive", result.id)
        stack.wait_for_states([result], "DISPATCHED")
    finally:
        worker.resume()
    assert outcome(stack, result) == {"value": 1}
    stack.wait_for_rest()
    assert [run.attempt for run in stack.runs(result)] == [1, 1, 2]


def test_a_redriven_job_may_fail_again_and_be_redriven_again(stack: Stack, operator: Operator, cure: Path) -> None:
    result = failed(stack, cure, value=1)
    first = operator.letter_of(result.id)
    operator.does("redrive", first)
    wait_until(lambda: len(letters_of(stack, result)) == 2)
    stack.wait_for_states([result], "FAILURE")
    stack.wait_for_rest()
    assert "it was redriven before" in operator.cannot("redrive", first)
    cure.touch()
    assert operator.does("redrive", result.id).endswith("1 of 1\n"), "the newest of its dead letters"
    assert outcome(stack, result) == {"value": 1}
    stack.wait_for_rest()
    assert "has succeeded" in operator.cannot("redrive", result.id) or "redriven before" in operator.cannot("redrive", result.id)
    assert [letter["state"] for letter in operator.letters() if letter["fields"]["task_id"] == result.id] == ["succeeded", "succeeded"]


def test_another_payload_is_kept_by_a_later_retry(stack: Stack, operator: Operator, cure: Path, tmp_path: Path) -> None:
    result = failed(stack, cure, "until_retried", value={"old": 1})
    other = tmp_path / "other cure"
    known = len(stack.runs(result))
    operator.does("redrive", operator.letter_of(result.id), "--set", f"data.path={other}", "--set", "data.value.new=2")
    wait_until(lambda: len(letters_of(stack, result)) == 3)
    stack.wait_for_states([result], "FAILURE")
    stack.wait_for_rest()
    assert len(stack.runs(result)) == known + 2, "its retries are used up"
    first = next(letter["id"] for letter in operator.letters() if letter["fields"]["task_id"] == result.id)
    assert operator.does("redrive", first, "--set", f"data.path={other}", "--set", "data.value.new=2")
    wait_until(lambda: len(stack.runs(result)) >= known + 4)  # the first attempt
    other.touch()
    assert outcome(stack, result) == {"value": {"old": 1, "new": 2}}
    stack.wait_for_rest()


def test_the_rest_of_its_chain_goes_on(stack: Stack, operator: Operator, cure: Path) -> None:
    end = chain(stack.task("until", path=str(cure), value=1), stack.task("echo", value=2), stack.task("echo", value=3)).apply_async()
    stack.wait_for_states([end.parent.parent, end.parent, end], "FAILURE")
    stack.wait_for_rest()
    cure.touch()
    operator.does("redrive", end.parent.parent.id)
    stack.wait_for_states([end.parent.parent, end.parent, end], "SUCCESS")
    assert outcome(stack, end) == {"value": 3}
    stack.wait_for_rest()


@pytest.mark.parametrize("in_a_chain", [False, True])
def test_its_chord_that_has_failed_isnt_revived(stack: Stack, operator: Operator, cure: Path, *, in_a_chain: bool) -> None:
    part = stack.task("until", path=str(cure), value=1)
    parts = [chain(part, stack.task("echo", value=2)) if in_a_chain else part, stack.task("echo", value=5)]
    body = chord(parts)(stack.caller.signature("lab.total"))
    stack.wait_for_states([body], "FAILURE")
    last = body.parent.results[0]
    result = last.parent if in_a_chain else last
    stack.wait_for_rest()
    cure.touch()
    operator.does("redrive", result.id)
    stack.wait_for_states([result, last], "SUCCESS")
    stack.wait_for_rest()
    assert stack.state(body) == "FAILURE"
    left = [key for key in stack.redis.keys(f"*{body.parent.id}*") if stack.redis.ttl(key) == -1]
    assert left == []


def test_two_operators_at_once_run_it_once(stack: Stack, operator: Operator, cure: Path) -> None:
    result = failed(stack, cure, value=1)
    cure.touch()
    known = len(stack.runs(result))
    with ThreadPoolExecutor(2) as both:
        codes = sorted(done.returncode for done in both.map(lambda _: operator.run("redrive", result.id), range(2)))
    assert codes == [0, 1]
    assert outcome(stack, result) == {"value": 1}
    stack.wait_for_rest()
    assert len(stack.runs(result)) == known + 1


def test_of_two_runs_of_one_frozen_id_only_the_failed_one_is_redriven(stack: Stack, operator: Operator, cure: Path) -> None:
    frozen = stack.task("until", path=str(cure), value=1).set(task_id=f"frozen-{cure.parent.name}")
    result = frozen.apply_async()
    stack.wait_for_states([result], "FAILURE")
    cure.touch()
    frozen.apply_async()
    stack.wait_for_states([result], "SUCCESS")
    stack.wait_for_rest()
    operator.does("redrive", result.id)
    wait_until(lambda: len(stack.runs(result)) == 4)
    stack.wait_for_rest()
    assert stack.state(result) == "SUCCESS"


def test_what_it_says_of_wrong_ids_services_and_options(stack: Stack, operator: Operator) -> None:
    assert "no dead letter of that id" in operator.cannot("redrive", "nobody")
    assert "no dead letter of that id" in operator.cannot("show", "nobody")
    assert "unknown service 'nowhere'; known:" in operator.cannot("list", "--service", "nowhere", code=2)
    assert "say which" in operator.cannot("redrive", code=2)
    assert "say which" in operator.cannot("purge", "1-1", "--all", code=2)
    assert "'value=1' is no change" in operator.cannot("redrive", "1-1", "--set", "value=1", code=2)
    assert "is no duration" in operator.cannot("list", "--older-than", "soon", code=2)


def test_filters_and_a_dry_run(stack: Stack, operator: Operator, cure: Path) -> None:
    poison, used_up = failed(stack, cure, how="crash"), failed(stack, cure, value=1)
    known = len(stack.runs())
    ids = {
        letter["fields"]["task_id"]
        for letter in operator.letters("--service", "lab", "--reason", "exhausted", "--error", "RETRYABLE", "--newer-than", "1h")
    }
    assert used_up.id in ids
    assert poison.id not in ids
    assert operator.letters("--older-than", "1h") == []
    assert operator.letters("--error", "no error has this text") == []
    said = operator.does("redrive", "--all", "--dry-run", "--reason", "poison", "--newer-than", "1h")
    assert f"{operator.letter_of(poison.id)}: would be sent again" in said
    assert used_up.id not in said
    assert len(stack.runs()) == known
    assert stack.state(poison) == "FAILURE"
    cure.touch()
    operator.does("redrive", "--all", "--reason", "exhausted", "--error", "cure is missing", "--newer-than", "1h")
    assert outcome(stack, used_up) == {"value": 1}
    assert stack.state(poison) == "FAILURE"
    stack.wait_for_rest()


def test_a_change_that_doesnt_fit_sends_nothing(stack: Stack, operator: Operator, cure: Path) -> None:
    result = failed(stack, cure)
    assert "data.path is str, and has no 'below'" in operator.cannot("redrive", result.id, "--set", "data.path.below=1")
    assert stack.state(result) == "FAILURE"
    assert len(stack.runs(result)) == 2


def test_a_forged_dead_letter_sends_nothing(stack: Stack, operator: Operator, cure: Path) -> None:
    """A worker may write whatever it likes onto its own dead letters: another task's publish, a publish of another service, a command of its own."""
    victim, other = failed(stack, cure), failed(stack, cure, value=7)
    of_victim = next(letter for letter in stack.dead_letters() if letter["task_id"] == victim.id)
    of_other = next(letter for letter in stack.dead_letters() if letter["task_id"] == other.id)
    stack.redis.hset(stack.keys.job("other-service"), mapping={"task_id": "t", "service": "trading", "phase": "closed", "lineage": "l", "ctx": "{}"})
    known = stack.redis.xinfo_stream(LAB.commands)["entries-added"]
    forged: list[Any] = [
        of_victim | {"publish_id": of_other["publish_id"]},
        of_victim | {"publish_id": "other-service", "task_id": "t"},
        {"type": "test.echo", "task_id": "evil", "callback_stream": LAB.results, "data": "{}", "reason": "exhausted", "error": "null"},
    ]
    for fields in forged:
        letter = str(stack.redis.xadd(LAB.dead_letters, fields))
        operator.cannot("redrive", letter)
        stack.redis.xdel(LAB.dead_letters, letter)
    assert stack.redis.xinfo_stream(LAB.commands)["entries-added"] == known
    stack.redis.delete(stack.keys.job("other-service"))
    own: Any = of_victim | {"data": '{"path": "/forged"}', "type": "test.evil"}
    cure.touch()
    operator.does("redrive", str(stack.redis.xadd(LAB.dead_letters, own)))
    assert outcome(stack, victim) == {"value": None}, "what is sent is what management remembers"
    stack.wait_for_rest()


def test_a_foreign_command_is_sent_again_when_one_insists(stack: Stack, operator: Operator) -> None:
    foreign(stack, data="{", task_id="foreign-again")
    letter = operator.letter_of("foreign-again")
    assert "--unbridged" in operator.does("show", letter)
    assert "--unbridged" in operator.cannot("redrive", letter)
    assert "can't be read" in operator.cannot("redrive", letter, "--unbridged", "--set", "data.value=1")
    operator.does("redrive", letter, "--unbridged")
    wait_until(lambda: len([each for each in stack.dead_letters() if each["task_id"] == "foreign-again"]) == 2)
    operator.cannot("redrive", letter, "--unbridged")


def test_purge_removes_them_and_shows_survive_what_is_no_text(stack: Stack, operator: Operator, cure: Path) -> None:
    result = failed(stack, cure)
    letter = operator.letter_of(result.id)
    assert f"{letter}: would be removed" in operator.does("purge", letter, "--dry-run")
    assert operator.letter_of(result.id) == letter
    operator.does("purge", letter)
    assert letters_of(stack, result) == []
    operator.cannot("purge", letter)
    odd: Any = {b"type": b"\xff\xfe", b"task_id": b"odd \xff", b"data": b"\x00\xff", b"error": b"\xff", b"reason": b"undecodable"}
    strange = str(stack.redis.xadd(LAB.dead_letters, odd))
    operator.does("list")
    operator.does("show", strange)
    operator.does("list", "--json")
    operator.does("purge", strange)


def test_every_error_is_one_of_ours() -> None:
    assert issubclass(DeadLettered, JobError)
    assert issubclass(PoisonCommand, JobError)
    assert not issubclass(PoisonCommand, DeadLettered)
