"""Progress of the whole job, out of freqtrade's stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from workers.artifacts import ArtifactStore
from workers.backtesting.stages import INTERVAL_S, Stages
from workers.errors import JobCancelled
from workers.job import Job


@dataclass
class Task:
    """As rich's progress task, of which freqtrade's callback gets one."""

    id: int
    description: str
    completed: float
    total: float | None


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Reports:
    seen: list[tuple[int, int | None, str]] = field(default_factory=list)

    def __call__(self, current: int, total: int | None, message: str) -> None:
        self.seen.append((current, total, message))


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def job(tmp_path: Path, reports: Reports) -> Job:
    return Job(id="job", type="backtest.run", directory=tmp_path, artifacts=ArtifactStore(str(tmp_path)), _report=reports)


def test_each_stage_has_its_part_of_the_whole(job: Job, reports: Reports) -> None:
    stages = Stages(job, Clock())
    for description in ("dataload", "analyze", "convert", "backtest"):
        stages.on_progress(Task(1, description, 0, 4))
        stages.on_progress(Task(1, description, 4, 4))
    stages.enter("stats")
    assert reports.seen == [
        (0, 100, "load 0/4"),
        (5, 100, "load 4/4"),
        (5, 100, "indicators 0/4"),
        (20, 100, "indicators 4/4"),
        (20, 100, "signals 0/4"),
        (25, 100, "signals 4/4"),
        (25, 100, "backtest 0/4"),
        (95, 100, "backtest 4/4"),
        (95, 100, "stats"),
    ]


def test_never_backwards(job: Job, reports: Reports) -> None:
    stages = Stages(job, clock := Clock())
    for done in (50, 10, 60):
        clock.now += 1
        stages.report("backtest", done, 100)
    assert [current for current, _, _ in reports.seen] == [60, 60, 67]


def test_candles_in_between_are_not_reported(job: Job, reports: Reports) -> None:
    stages = Stages(job, clock := Clock())
    for done in range(1000):
        clock.now += INTERVAL_S / 100
        stages.on_progress(Task(1, "backtest", done, 1000))
    assert 9 <= len(reports.seen) <= 12


def test_the_bar_that_counts_the_phases_is_left_out(job: Job, reports: Reports) -> None:
    Stages(job).on_progress(Task(0, "backtest", 4, 4))
    assert reports.seen == []


def test_cancelled_job_stops_at_the_next_candle(job: Job) -> None:
    stages = Stages(job, Clock())
    stages.on_progress(Task(1, "backtest", 1, 1000))
    job.cancel("revoked")
    with pytest.raises(JobCancelled, match="revoked"):
        stages.on_progress(Task(1, "backtest", 2, 1000))
