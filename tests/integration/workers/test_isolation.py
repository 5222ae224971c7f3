"""A job goes and ends in the same way wherever it runs; in a thread or on the loop it can only be asked to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import tests.handlers  # noqa: F401 - registers them in this process
from workers.child_process import ChildProcess
from workers.outcome import Cancelled, Failed, LogLine, Outcome, Progress, Succeeded
from workers.running_job import RunningJob
from workers.starting import JobStarter

EVERYWHERE = ["test.nap", "test.async_nap", "test.thread_nap", "test.async_thread_nap", "test.inline_nap"]
ASYNC = ["test.async_nap", "test.async_thread_nap", "test.inline_nap"]
IN_WORKER = ["test.thread_nap", "test.async_thread_nap", "test.inline_nap"]
LONG = 30


@pytest.fixture
async def starter() -> AsyncIterator[JobStarter]:
    starter = JobStarter(("tests.handlers",))
    yield starter
    await starter.close()


async def outcome_of(job: RunningJob) -> Outcome:
    async with asyncio.timeout(10):
        return await job.wait()


@pytest.mark.parametrize("type_", EVERYWHERE)
async def test_a_result_comes_back(starter: JobStarter, job_request: Any, type_: str) -> None:
    outcome = await outcome_of(await starter.start(job_request(type_, seconds=0.05)))
    assert isinstance(outcome, Succeeded)
    assert outcome.decoded()["slept"] == 0.05


@pytest.mark.parametrize("type_", EVERYWHERE)
async def test_wrong_data_is_named(starter: JobStarter, job_request: Any, type_: str) -> None:
    outcome = await outcome_of(await starter.start(job_request(type_, seconds="secret")))
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, "seconds: Input should be" in outcome.error.message) == ("BadRequest", True)
    assert "secret" not in outcome.error.message


@pytest.mark.parametrize("type_", EVERYWHERE)
async def test_a_soft_limit_is_raised_in_the_job_and_fails_it_as_celery_would(starter: JobStarter, job_request: Any, type_: str) -> None:
    job = await starter.start(job_request(type_, seconds=LONG))
    await asyncio.sleep(0.3)
    job.pass_soft_limit()
    outcome = await outcome_of(job)
    assert isinstance(outcome, Failed)
    assert ("SoftTimeLimitExceeded", "billiard.exceptions", []) == (outcome.error.type, outcome.error.module, outcome.error.args)
    assert "tests/handlers.py" in outcome.error.traceback
    assert "/asyncio/runners.py" not in outcome.error.traceback
    assert "workers/performing.py" not in outcome.error.traceback


@pytest.mark.parametrize("type_", EVERYWHERE)
async def test_a_job_may_clean_up_at_its_soft_limit_and_return_what_it_has(starter: JobStarter, job_request: Any, type_: str) -> None:
    job = await starter.start(job_request(type_, seconds=LONG, at_soft_limit="return"))
    await asyncio.sleep(0.3)
    job.pass_soft_limit()
    outcome = await outcome_of(job)
    assert isinstance(outcome, Succeeded), outcome
    assert outcome.decoded()["saved"]


@pytest.mark.parametrize("type_", [*ASYNC, "test.thread_nap"])
async def test_a_job_that_waits_or_looks_is_cancelled_with_the_reason(starter: JobStarter, job_request: Any, type_: str) -> None:
    job = await starter.start(job_request(type_, seconds=LONG))
    outcome = await asyncio.wait_for(job.stop(5, "changed my mind"), 4)
    assert isinstance(outcome, Cancelled)
    assert ("changed my mind", False) == (outcome.reason, outcome.killed)


@pytest.mark.parametrize("how", ["cancel", "soft limit"])
async def test_the_tasks_of_a_group_end_with_their_job(starter: JobStarter, job_request: Any, tmp_path: Path, how: str) -> None:
    job = await starter.start(job_request("test.inline_group", "job"))
    await asyncio.sleep(0.3)
    if how == "cancel":
        job.cancel("changed my mind")
    else:
        job.pass_soft_limit()
    outcome = await outcome_of(job)
    if how == "cancel":
        assert outcome == Cancelled("changed my mind")
    else:
        assert isinstance(outcome, Failed)
        assert outcome.error.type == "SoftTimeLimitExceeded"
    counted = (tmp_path / "jobs/job/count").read_text()
    await asyncio.sleep(0.1)
    assert (tmp_path / "jobs/job/count").read_text() == counted


async def test_an_exception_that_cant_be_assigned_to_is_told_as_it_is(starter: JobStarter, job_request: Any) -> None:
    outcome = await outcome_of(await starter.start(job_request("test.raises", kind="frozen")))
    assert isinstance(outcome, Failed)
    assert ("FrozenError", [7]) == (outcome.error.type, outcome.error.args)


@pytest.mark.parametrize("type_", IN_WORKER)
async def test_what_never_stops_is_left_behind_with_a_warning(
    starter: JobStarter, job_request: Any, type_: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.in_worker.CANCEL_SECONDS", 0.1)
    job = await starter.start(job_request(type_, seconds=1, ignore=True))
    with caplog.at_level(logging.WARNING, "workers.in_worker"):
        outcome = await job.stop(0.1, "time limit")
    assert Cancelled("time limit", killed=True) == outcome
    assert "runs on in this worker although it was stopped (time limit)" in caplog.text
    again = await starter.start(job_request(type_, seconds=0.01))
    assert isinstance(await outcome_of(again), Succeeded)


async def test_a_signal_of_the_soft_limit_that_nobody_of_ours_sent_means_nothing(starter: JobStarter, job_request: Any) -> None:
    job = await starter.start(job_request("test.async_nap", seconds=0.5))
    assert isinstance(job, ChildProcess)
    async for event in job.events():
        if isinstance(event, Progress):
            os.kill(job.pid, signal.SIGUSR1)
    assert isinstance(await job.wait(), Succeeded)


@pytest.mark.parametrize("type_", IN_WORKER)
async def test_progress_and_log_lines_come_before_the_outcome(starter: JobStarter, job_request: Any, type_: str, tmp_path: Path) -> None:
    job = await starter.start(job_request(type_, "job", seconds=1.2))
    events = [event async for event in job.events()]
    progress = [event for event in events if isinstance(event, Progress)]
    assert 1 <= len(progress) <= 5
    assert Progress(1, 2, "napping") == progress[-1]
    assert isinstance(events[-1], Succeeded)
    if type_ in ASYNC:
        assert [LogLine("good night")] == [event for event in events if isinstance(event, LogLine)]
        assert (tmp_path / "jobs/job/job.log").read_text().endswith(" good night\n")


async def test_the_last_log_lines_of_a_process_come_before_its_outcome(starter: JobStarter, job_request: Any, tmp_path: Path) -> None:
    job = await starter.start(job_request("test.log", "job", lines=["one", "two"]))
    assert [LogLine("one"), LogLine("two")] == [event async for event in job.events() if isinstance(event, LogLine)]
    assert [line.split(" ", 2)[2] for line in (tmp_path / "jobs/job/job.log").read_text().splitlines()] == ["one", "two"]


async def test_where_each_runs(starter: JobStarter, job_request: Any) -> None:
    ran: dict[str, Any] = {}
    for type_ in (*IN_WORKER, "test.short"):
        outcome = await outcome_of(await starter.start(job_request(type_)))
        assert isinstance(outcome, Succeeded), outcome
        ran[type_] = outcome.decoded()
    assert {os.getpid()} == {seen["pid"] for seen in ran.values()}
    main = threading.current_thread().name
    assert [main, main] == [ran["test.inline_nap"]["thread"], ran["test.short"]["thread"]]
    assert main not in {ran["test.thread_nap"]["thread"], ran["test.async_thread_nap"]["thread"]}


async def test_jobs_in_threads_and_on_the_loop_run_side_by_side(starter: JobStarter, job_request: Any) -> None:
    started = time.monotonic()
    jobs = [await starter.start(job_request(type_, seconds=0.5)) for type_ in IN_WORKER * 3]
    await asyncio.gather(*map(outcome_of, jobs))
    assert time.monotonic() - started < 1.5


async def test_no_child_server_is_started_for_handlers_that_need_none(starter: JobStarter, job_request: Any) -> None:
    await outcome_of(await starter.start(job_request("test.short")))
    assert starter._children.pid is None
