"""`celery streams doctor` on a real deployment: things go wrong as they do in the field, and it says what, why and what to do."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.acceptance.stack import LAB, Stack
from tests.waiting import wait_until

AT_ONCE = {"RECONCILE_SETTLE_SECONDS": "0", "RECONCILE_RETRY_GRACE_SECONDS": "0", "RECONCILE_SILENT_LEASES": "1"}


@pytest.fixture(autouse=True)
def _running(stack: Stack) -> None:
    if not stack.processes:
        stack.celery()
        stack.bridge(BRIDGE_RECONCILE_SECONDS="0", BRIDGE_REPAIR_SECONDS="0")
        stack.worker(STREAMS_MAX_DELIVERIES="2")
    stack.start()


def doctor(stack: Stack, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return stack.run_celery("streams", "doctor", *arguments, **(AT_ONCE | environment))


def findings(stack: Stack) -> list[dict[str, Any]]:
    said = doctor(stack, "--json")
    assert said.returncode in {0, 1}, said.stderr
    return [json.loads(line) for line in said.stdout.splitlines()]


def test_a_healthy_deployment_has_nothing_stuck(stack: Stack) -> None:
    stack.get(stack.send("echo", value=1))
    stack.wait_for_rest()
    said = doctor(stack)
    assert (said.returncode, said.stdout.strip()) == (0, "nothing is stuck"), said.stderr


def test_a_command_that_was_deleted_is_found_and_sent_again(stack: Stack) -> None:
    stack.processes["worker"].crash()
    job = stack.send("echo", value=2)
    stack.wait_for_states([job], "DISPATCHED")
    stack.redis.delete(LAB.commands)
    assert {"command_lost"} <= {finding["kind"] for finding in findings(stack)}
    fixed = doctor(stack, "--fix", "--quick")
    assert "command_lost" in fixed.stdout
    stack.start()
    assert stack.get(job) == {"value": 2}
    stack.wait_for_rest()


def test_a_retry_that_the_broker_lost_is_found_and_sent_again(stack: Stack) -> None:
    job = stack.send("retried", failures=2)
    # Its command becomes a dead letter after two runs; meanwhile the Celery worker is gone, and then the broker loses what it holds.
    stack.wait_for_run(job, 1)
    stack.processes["celery"].crash()
    stack.wait_for_states([job], "RETRY")
    wait_until(lambda: stack.broker.llen("celery"))
    stack.broker.delete("celery", "unacked", "unacked_index")
    stack.start()

    def lost() -> list[dict[str, Any]]:
        return [finding for finding in findings(stack) if finding["kind"] == "retry_without_child"]

    (finding,) = wait_until(lost, message="the retry is due")
    assert job.id in finding["what"]
    assert finding["fixable"]
    said = doctor(stack, "--fix", "--quick")
    assert said.returncode == 0, said.stdout
    assert stack.get(job) == {"runs": 3}
    stack.wait_for_rest()
    assert findings(stack) == []


def test_tasks_whose_jobs_went_with_a_flushed_server(stack: Stack) -> None:
    backend = stack.caller.backend
    backend.store_result("gone-with-the-server", None, "DISPATCHED")
    try:
        (finding,) = findings(stack)
        assert (finding["kind"], finding["what"]) == ("job_lost", "task gone-with-the-server")
        table = doctor(stack)
        assert table.returncode == 1
        assert "job_lost" in table.stdout
        assert findings_quick(stack) == []
    finally:
        stack.caller.AsyncResult("gone-with-the-server").forget()


def findings_quick(stack: Stack) -> list[str]:
    return doctor(stack, "--quick", "--json").stdout.splitlines()


def test_a_server_that_is_away_is_said_in_one_sentence(stack: Stack) -> None:
    said = doctor(stack, REDIS_URL="redis://127.0.0.1:1/0")
    assert said.returncode == 3
    assert said.stderr.strip().startswith("a server can't be asked: ConnectionError")
    assert "Traceback" not in said.stderr
