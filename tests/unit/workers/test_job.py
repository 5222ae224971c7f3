"""Job: cancellation reaches the handler once, with its first reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.artifacts import ArtifactStore
from workers.errors import JobCancelled
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


def test_an_engine_that_catches_every_exception_does_not_catch_a_cancellation() -> None:
    assert not issubclass(JobCancelled, Exception)


def test_queue_wait_is_never_negative(tmp_path: Path) -> None:
    job = Job(id="job", type="x", directory=tmp_path, artifacts=ArtifactStore(str(tmp_path)), created_at=100.0, started_at=90.0)
    assert job.queue_wait == 0.0
