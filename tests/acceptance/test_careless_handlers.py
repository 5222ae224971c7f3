"""Whatever a task's own handlers do, and whatever its job raised: its result is resolved, and each handler is called as often as in an ordinary worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from celery.result import AsyncResult

from bridge import JobError
from tests.acceptance.stack import Process, Stack

APP = ("-m", "celery", "-A", "tests.acceptance.careless")
ATTEMPTS = 2


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.other("celery", (*APP, "worker", "-c", "1", "-n", "celery@%h", "-l", "INFO"), ready=" ready.")
    stack.processes["bridge"] = Process(
        "bridge",
        (*APP, "bridge", "-n", "bridge@%h"),
        stack._environment | {"BRIDGE_MAX_RESOLVE_ATTEMPTS": str(ATTEMPTS), "STREAMS_SERVICES": '{"lab": {"handlers": ["tests.handlers"]}}'},
        stack.directory / "log" / "bridge.log",
        ready="bridge: reading results",
    )
    stack.worker()
    stack.start()


@pytest.fixture(autouse=True)
def _at_rest(stack: Stack, _running: None) -> Iterator[None]:
    yield
    stack.wait_for_rest()


def handled(stack: Stack, result: AsyncResult) -> list[str]:
    stack.wait_for_rest()
    lines = [line.split(" ", 1) for line in (stack.directory / "handlers").read_text().splitlines()]
    return [what for task_id, what in lines if task_id == result.id]


def test_a_handler_whose_own_server_is_away_holds_up_nothing(stack: Stack) -> None:
    """Celery's tracer takes what `on_failure` raises for an error of its own, and calls it again for that."""
    result = stack.send("mails")
    with pytest.raises(Exception, match="failed on purpose"):
        stack.get(result)
    assert handled(stack, result) == ["on_failure"] * 2


def test_before_start_whose_own_server_is_away_fails_the_task(stack: Stack) -> None:
    result = stack.send("caches")
    with pytest.raises(ConnectionRefusedError, match="no cache"):
        stack.get(result)
    assert handled(stack, result) == ["before_start"]


def test_a_handler_that_quits_is_given_up_and_the_outcome_stands(stack: Stack) -> None:
    result = stack.send("quits", value=1)
    assert stack.get(result) == {"value": 1}
    assert handled(stack, result) == ["on_success"] * ATTEMPTS
    assert stack.state(result) == "SUCCESS"


def test_before_start_that_quits_fails_the_task_in_the_end(stack: Stack) -> None:
    result = stack.send("quits_early")
    with pytest.raises(JobError, match="SystemExit: 3"):
        stack.get(result)
    assert handled(stack, result) == ["before_start"] * ATTEMPTS


def test_a_handler_may_run_another_bridged_task_here(stack: Stack) -> None:
    result = stack.send("runs_another", value=1)
    assert stack.get(result) == {"value": 1}
    assert handled(stack, result) == ["{'another': 1}"]


def test_a_memory_error_of_the_job_is_resolved_at_once(stack: Stack) -> None:
    result = stack.send("raises", kind="memory")
    with pytest.raises(MemoryError, match="too little"):
        stack.get(result)
    stack.wait_for_rest()
    assert stack.processes["bridge"].log.count(f"Task lab.raises[{result.id}] raised unexpected") == 1
