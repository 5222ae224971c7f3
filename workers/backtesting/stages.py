"""Progress of a whole backtest, made of the stages that freqtrade reports one by one. It only moves forward."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from workers.freqtrade.indicators import tell_indicators

if TYPE_CHECKING:
    from workers.job import Job

SPANS = {"load": (0, 5), "indicators": (5, 20), "signals": (20, 25), "backtest": (25, 95), "stats": (95, 100)}
"""Each stage's part of the job in percent, as measured on three pairs of five-minute candles."""
STAGES = {"dataload": "load", "analyze": "indicators", "convert": "signals", "backtest": "backtest"}
"""freqtrade's names of its phases (`BacktestState`)."""
INTERVAL_S = 0.1
"""freqtrade calls back for each candle; more often than this nobody looks."""


class Stages:
    """Reports progress and stops the job at the next candle once it is cancelled."""

    def __init__(self, job: Job, clock: Callable[[], float] = time.monotonic) -> None:
        self._job = job
        self._clock = clock
        self._percent = 0
        self._stage = ""
        self._reported_at = float("-inf")

    def enter(self, stage: str, detail: str = "") -> None:
        """A stage begins."""
        self.report(stage, 0, 0, detail)

    def report(self, stage: str, done: float, total: float, detail: str = "") -> None:
        """Say how much of a stage is done.

        Raises:
            JobCancelled: the job should stop.
        """
        self._job.checkpoint()
        now = self._clock()
        if stage == self._stage and done < total and now - self._reported_at < INTERVAL_S:
            return
        start, end = SPANS[stage]
        share = min(1.0, done / total) if total else 0.0
        self._percent = max(self._percent, int(start + (end - start) * share))
        self._stage, self._reported_at = stage, now
        self._job.progress(self._percent, 100, f"{stage} {detail}".strip())

    def on_progress(self, task: Any) -> None:
        """freqtrade's progress callback, for each change of one of its two bars: 0 counts the phases, 1 the steps of the current one."""
        if task.id == 0 or (stage := STAGES.get(task.description)) is None:
            return
        self.report(stage, task.completed, task.total or 0, f"{int(task.completed)}/{int(task.total)}" if task.total else "")

    def count_indicators(self, strategy: Any, pairs: int) -> None:
        """Report each pair whose indicators are done."""
        tell_indicators(strategy, lambda done: self.report("indicators", done, pairs, f"{done}/{pairs}"))
