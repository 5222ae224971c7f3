"""Jobs in threads and on the worker's loop keep their leases, report, and end as those in processes do; time limits are kept where the job runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError

from tests.acceptance.stack import LAB, LEASE_SECONDS, Stack, is_gone
from tests.waiting import wait_until

EVERYWHERE = ["nap", "async_nap", "thread_nap", "inline_nap"]
IN_WORKER = ["thread_nap", "inline_nap"]


@pytest.fixture(scope="module", autouse=True)
def _running(stack: Stack) -> None:
    stack.celery()
    stack.bridge()
    stack.worker(concurrency=4)
    stack.start()


@pytest.fixture(autouse=True)
def _at_rest(stack: Stack, _running: None) -> Iterator[None]:
    yield
    stack.wait_for_rest()


def test_a_lease_is_kept_for_as_long_as_the_job_runs(stack: Stack) -> None:
    results = [stack.send(name, seconds=3 * LEASE_SECONDS) for name in EVERYWHERE]
    wait_until(lambda: stack.state(results[-1]) == "PROGRESS")
    assert results[-1].info["message"] == "napping"
    assert [3 * LEASE_SECONDS] * 4 == [stack.get(result)["slept"] for result in results]
    assert [1, 1, 1, 1] == [len(stack.runs(result)) for result in results]


@pytest.mark.parametrize("name", EVERYWHERE)
def test_a_soft_time_limit_lets_the_job_clean_up(stack: Stack, name: str) -> None:
    kept = stack.task(name, seconds=30, at_soft_limit="return").apply_async(soft_time_limit=0.5)
    passed = stack.task(name, seconds=30).apply_async(soft_time_limit=0.5, time_limit=30)
    assert stack.get(kept)["saved"]
    with pytest.raises(Exception, match=r"SoftTimeLimitExceeded\(\)"):
        stack.get(passed)


def test_the_hard_limit_ends_a_job_that_a_soft_one_did_not(stack: Stack) -> None:
    result = stack.task("sleep", seconds=30, ignore_cancel=True).apply_async(soft_time_limit=0.5, time_limit=1)
    run = stack.wait_for_run(result)
    with pytest.raises(Exception, match=r"TimeLimitExceeded\("):
        stack.get(result)
    wait_until(lambda: is_gone(run.pid))


@pytest.mark.parametrize("name", IN_WORKER)
def test_a_job_in_the_worker_that_ignores_its_time_limit_is_left_behind(stack: Stack, name: str) -> None:
    result = stack.task(name, seconds=8, ignore=True).apply_async(time_limit=0.5)
    with pytest.raises(Exception, match=r"TimeLimitExceeded\(0\.5,\)"):
        stack.get(result)
    stack.processes["worker"].wait_for(f"job {result.id} (test.{name}) runs on in this worker although it was stopped (time limit)")


@pytest.mark.parametrize("name", IN_WORKER)
def test_a_job_in_the_worker_is_revoked_when_it_looks(stack: Stack, name: str) -> None:
    result = stack.send(name, seconds=30)
    stack.wait_for_run(result)
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        stack.get(result)


def test_what_a_job_logs_is_on_the_status_stream(stack: Stack) -> None:
    result = stack.send("log", lines=["one", "two"])
    assert stack.get(result) == 2
    rows: Any = stack.redis.xrange(LAB.status)
    assert ["one", "two"] == [fields["message"] for _, fields in rows if fields.get("kind") == "log" and fields["task_id"] == result.id]
    assert stack.redis.hget(stack.keys.run("lab", stack.results_of(result)[0]["publish_id"]), "message") is None
