"""Job: cancellation reaches the handler once, with its first reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.artifacts import ArtifactStore
from workers.errors import JobCancelled, SoftTimeLimit
from workers.job import Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(id="job", type="test.echo", directory=tmp_path, artifacts=ArtifactStore(str(tmp_path)))


def test_a_checkpoint_raises_the_first_reason(job: Job) -> None:
    job.checkpoint()
    job.cancel("first")
    job.cancel("second")
    assert job.cancelled
    with pytest.raises(JobCancelled, match="first"):
        job.checkpoint()


def test_callbacks_are_called_once_whether_early_or_late(job: Job) -> None:
    called: list[str] = []
    job.on_cancel(lambda: called.append("early"))
    job.cancel("stop")
    job.cancel("stop again")
    job.on_cancel(lambda: called.append("late"))
    assert called == ["early", "late"]


def test_a_callback_that_fails_does_not_stop_the_others(job: Job) -> None:
    called: list[str] = []
    job.on_cancel(lambda: 1 / 0)  # type: ignore[arg-type]
    job.on_cancel(lambda: called.append("second"))
    job.cancel("stop")
    assert called == ["second"]


def test_a_soft_limit_is_told_once_so_that_cleaning_up_may_use_checkpoints(job: Job) -> None:
    called: list[str] = []
    job.on_cancel(lambda: called.append("early"))
    job.pass_soft_limit()
    job.pass_soft_limit()
    job.on_cancel(lambda: called.append("late"))
    with pytest.raises(SoftTimeLimit):
        job.checkpoint()
    job.checkpoint()
    assert called == ["early", "late"]
    assert not job.cancelled


def test_after_a_soft_limit_a_job_can_be_cancelled_and_not_the_other_way_round(job: Job) -> None:
    job.pass_soft_limit()
    job.cancel("hard limit")
    job.pass_soft_limit()
    with pytest.raises(JobCancelled, match="hard limit"):
        job.checkpoint()


def test_whoever_can_interrupt_the_handler_learns_what_came_before(job: Job) -> None:
    told: list[BaseException] = []
    job.pass_soft_limit()
    job.interrupt_with(told.append)
    job.cancel("stop")
    job.interrupt_with(None)
    job.interrupt_with(told.append)
    assert [type(error) for error in told] == [SoftTimeLimit, JobCancelled, JobCancelled]


def test_a_log_line_is_written_and_told(job: Job, tmp_path: Path) -> None:
    told: list[str] = []
    job.log_file, job._say = tmp_path / "job.log", told.append
    job.log("first \udcff")
    job.log("second")
    assert told == ["first \udcff", "second"]
    lines = job.log_file.read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["first \\udcff", "second"]


def test_an_engine_that_catches_every_exception_does_not_catch_a_cancellation() -> None:
    assert not issubclass(JobCancelled, Exception)
    assert not issubclass(SoftTimeLimit, Exception)


def test_queue_wait_is_never_negative(tmp_path: Path) -> None:
    job = Job(id="job", type="x", directory=tmp_path, artifacts=ArtifactStore(str(tmp_path)), created_at=100.0, started_at=90.0)
    assert job.queue_wait == 0.0
