"""How a job in a child process ends, each way."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import async_wait_until
from workers.parent_link import TICK_SECONDS
from workers.process import Cancelled, ChildServer, Crashed, Failed, Succeeded

DATA = {"a": 1, "nested": {"list": [1, 2.5, None, "ü"]}, "empty": {}}


async def test_a_result_comes_back(run_job: Any) -> None:
    outcome, _ = await run_job("test.echo", **DATA)
    assert isinstance(outcome, Succeeded)
    assert DATA == outcome.decoded()
    assert outcome.usage is not None
    assert outcome.usage.cpu_seconds > 0
    assert outcome.usage.peak_rss > 1 << 20


async def test_a_result_of_megabytes_comes_back(run_job: Any) -> None:
    outcome, _ = await run_job("test.large", size=5_000_000)
    assert outcome.decoded() == {"text": "x" * 5_000_000}


async def test_a_request_larger_than_a_socket_buffer_arrives(run_job: Any) -> None:
    outcome, _ = await run_job("test.echo", text="y" * 3_000_000)
    assert outcome.decoded() == {"text": "y" * 3_000_000}


async def test_an_exception_comes_back_with_its_traceback_and_its_cause(run_job: Any) -> None:
    outcome, _ = await run_job("test.fail", message="no luck")
    assert isinstance(outcome, Failed)
    assert ("HandlerError", "tests.handlers", "no luck", False) == (
        outcome.error.type,
        outcome.error.module,
        outcome.error.message,
        outcome.error.retryable,
    )
    assert "ValueError: the cause" in outcome.error.traceback
    assert "in fail\n" in outcome.error.traceback
    assert outcome.error.traceback.endswith("tests.handlers.HandlerError: no luck\n")
    assert "workers/child.py" not in outcome.error.traceback


async def test_a_passing_trouble_is_retryable(run_job: Any) -> None:
    outcome, _ = await run_job("test.fail", retryable=True)
    assert ("Retryable", True) == (outcome.error.type, outcome.error.retryable)


async def test_a_huge_message_is_cut(run_job: Any) -> None:
    outcome, _ = await run_job("test.fail", message="begin" + "x" * 10_000_000 + "end")
    assert len(outcome.error.message) < 70_000
    assert len(outcome.error.traceback) < 70_000
    assert outcome.error.message.startswith("begin")
    assert outcome.error.message.endswith("end")
    assert "characters cut" in outcome.error.message


@pytest.mark.parametrize(
    ("type_", "data", "error", "says"),
    [
        ("test.nope", {}, "BadRequest", "no handler for the type 'test.nope'"),
        ("test.sleep", {"seconds": "secret", "typo": 1}, "BadRequest", "typo: Extra inputs"),
        ("test.bad", {}, "EncodeError", "$.outer[0].inner"),
        ("test.large", {"size": 70 << 20}, "PayloadTooLarge", "put large data in a file"),
        ("test.exit", {}, "SystemExit", "3"),
    ],
)
async def test_what_goes_wrong_is_named(run_job: Any, type_: str, data: dict[str, Any], error: str, says: str) -> None:
    outcome, _ = await run_job(type_, **data)
    assert isinstance(outcome, Failed)
    assert error == outcome.error.type
    assert says in outcome.error.message
    assert "secret" not in outcome.error.message + outcome.error.traceback


async def test_a_job_that_exits_without_a_word_has_crashed(run_job: Any) -> None:
    outcome, _ = await run_job("test.crash", exit=3, message="last words")
    assert Crashed("exit status 3", 3, "last words", outcome.usage) == outcome


async def test_a_segmentation_fault_leaves_its_traceback_in_the_log(run_job: Any) -> None:
    outcome, _ = await run_job("test.crash", segfault=True)
    assert ("killed by signal 11 (SIGSEGV)", -11) == (outcome.description, outcome.exit_status)
    assert "in crash" in outcome.log_tail


async def test_sigkill_from_outside_looks_like_a_lack_of_memory(run_job: Any) -> None:
    outcome, _ = await run_job("test.crash", signal=9)
    assert outcome.description == "killed by signal 9 (SIGKILL): out of memory?"


async def test_the_log_tail_is_that_of_the_last_run(run_job: Any) -> None:
    await run_job("test.crash", "same", message="of the first run")
    outcome, _ = await run_job("test.crash", "same", message="of the second run")
    assert outcome.log_tail == "of the second run"


async def test_garbage_on_stdout_goes_to_the_log(run_job: Any, tmp_path: Path) -> None:
    outcome, _ = await run_job("test.noise", "noisy", lines=1000)
    assert outcome.decoded() == {"result": "this one"}
    assert (tmp_path / "jobs/noisy/job.log").read_bytes().count(b"not this one") == 1000


async def test_progress_is_throttled_and_the_last_is_not_lost(run_job: Any) -> None:
    started = time.monotonic()
    outcome, progress = await run_job("test.progress", count=200_000)
    ticks = (time.monotonic() - started) / TICK_SECONDS
    assert outcome.decoded() == {"count": 200_000}
    assert 1 <= len(progress) <= 1 + ticks
    assert (200_000, 200_000, "counting") == (progress[-1].current, progress[-1].total, progress[-1].message)


async def test_progress_arrives_while_the_job_runs(run_job: Any) -> None:
    _, progress = await run_job("test.sleep", seconds=1.6, steps=8)
    steps = [event.current for event in progress]
    assert sorted(steps) == steps
    assert len(steps) >= 3
    assert steps[-1] == 8


async def test_a_job_that_looks_is_cancelled_with_the_reason(children: ChildServer, job_request: Any) -> None:
    child = await children.spawn(job_request("test.sleep", seconds=60))
    child.cancel("changed my mind")
    outcome = await child.wait()
    assert Cancelled("changed my mind", killed=False, usage=outcome.usage) == outcome


async def test_a_job_that_never_looks_is_killed(children: ChildServer, job_request: Any) -> None:
    child = await children.spawn(job_request("test.sleep", seconds=60, ignore_cancel=True))
    await async_wait_until(lambda: _ignores_sigterm(child.pid))
    outcome = await child.stop(0.1, "time limit")
    assert Cancelled("time limit", killed=True, usage=outcome.usage) == outcome


async def test_a_job_that_is_killed_says_why(children: ChildServer, job_request: Any) -> None:
    child = await children.spawn(job_request("test.sleep", seconds=60))
    child.kill("over its memory limit")
    outcome = await child.wait()
    assert isinstance(outcome, Crashed)
    assert outcome.description == "killed by signal 9 (SIGKILL): over its memory limit"


async def test_the_memory_of_grandchildren_counts(children: ChildServer, job_request: Any, tmp_path: Path) -> None:
    child = await children.spawn(job_request("test.spawn", "job", wait_seconds=60))
    alone = child.rss_bytes()
    await async_wait_until((tmp_path / "jobs/job/grandchild").exists)
    assert child.rss_bytes() > alone + (1 << 20)
    await child.stop(0)
    assert child.rss_bytes() == 0


async def test_an_artifact_is_stored(run_job: Any, tmp_path: Path) -> None:
    outcome, _ = await run_job("test.artifact", "job", text="hello")
    artifact = outcome.decoded()
    assert ("hello.txt", 5) == (artifact["name"], artifact["size"])
    assert (tmp_path / "artifacts/job/hello.txt").read_text() == "hello"


async def test_the_job_directory_is_private_and_lasts_over_runs(run_job: Any, tmp_path: Path) -> None:
    first, _ = await run_job("test.flaky", "same", failures=1, how="crash")
    second, _ = await run_job("test.flaky", "same", failures=1, how="crash", delivery=2)
    assert isinstance(first, Crashed)
    assert second.decoded() == {"runs": 2}
    assert (tmp_path / "jobs/same").stat().st_mode & 0o777 == 0o700


async def test_jobs_run_side_by_side(children: ChildServer, job_request: Any) -> None:
    await children.start()
    running = await asyncio.gather(*(children.spawn(job_request("test.sleep", seconds=0.3)) for _ in range(8)))
    outcomes = await asyncio.gather(*(child.wait() for child in running))
    assert [{"slept": 0.3}] * 8 == [outcome.decoded() for outcome in outcomes if isinstance(outcome, Succeeded)]
    assert len({child.pid for child in running}) == 8


def _ignores_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = next(line for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored.split()[1], 16) & 1 << signal.SIGTERM - 1)
