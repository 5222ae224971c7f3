"""What a training adds to FreqAI's model object while it slides over the windows: progress, metrics, errors that count, marks of finished windows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workers.errors import JobFailure
from workers.freqai.finished import FinishedWindows
from workers.freqai.metrics import importances, train_metrics
from workers.freqtrade.freqai.model_objects import loaded_exactly
from workers.freqtrade.freqai.windows import Window

if TYPE_CHECKING:
    from workers.job import Job

LOADED, TRAINED = 5, 98
"""Percent of the job at which the first window begins, and the last ends; the rest is for the artifact."""
INTERVAL_S = 0.1


class TrainingFailed(BaseException):
    """Carries an error out of FreqAI, which logs any Exception of a training, predicts zeros for its window, and goes on."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Training:
    """One run over the planned windows."""

    def __init__(self, job: Job, windows: Sequence[Window], finished: FinishedWindows) -> None:
        self._job = job
        self._windows = {(window.pair, window.train_stop): window for window in windows}
        self._positions = {key: position for position, key in enumerate(self._windows)}
        self._pairs = list(dict.fromkeys(window.pair for window in windows))
        self._finished = finished
        self._window: Window | None = None
        self._metrics: dict[str, Any] = {}
        self._fit_seconds = 0.0
        self._percent = 0
        self._reported_at = float("-inf")
        self.trained = 0
        """Windows trained by this run; an earlier run of the job may have trained others."""

    def adapt(self, model: Any) -> None:
        """Set ours on the model object; each calls the one of its class."""
        begin, train, fit, nothing = model.log_backtesting_progress, model.train, model.fit, model._append_null_backtesting_predictions  # noqa: SLF001
        save = model.dd.save_data

        def begin_window(tr_train: Any, pair: str, train_it: int, total_trains: int) -> None:
            self._window = self._windows[pair, tr_train.stopts]
            self.report(0, 0)
            begin(tr_train, pair, train_it, total_trains)

        def train_window(unfiltered_df: Any, pair: str, dk: Any, **kwargs: Any) -> Any:
            began, self._fit_seconds = time.monotonic(), 0.0
            try:
                trained = train(unfiltered_df, pair, dk, **kwargs)
                self._metrics = train_metrics(trained, dk) | {"importances": importances(trained, dk)}
            except Exception as exc:
                raise TrainingFailed(self._where(exc)) from exc
            self._metrics |= {"fit_seconds": round(self._fit_seconds, 3), "train_seconds": round(time.monotonic() - began, 3)}
            return trained

        def fit_window(*args: Any, **kwargs: Any) -> Any:
            began = time.monotonic()
            try:
                return fit(*args, **kwargs)
            finally:
                self._fit_seconds += time.monotonic() - began

        def predict_nothing(*args: Any, **kwargs: Any) -> None:
            nothing(*args, **kwargs)
            raise TrainingFailed(self._where(JobFailure("FreqAI has no model for a window, and goes on with zeros; freqtrade's log says why")))

        def save_window(trained: Any, pair: str, dk: Any) -> None:
            save(trained, pair, dk)
            assert self._window is not None
            self._finished.finish(self._window, self._metrics)
            self.trained += 1

        model.log_backtesting_progress, model.train, model.fit = begin_window, train_window, fit_window
        model._append_null_backtesting_predictions = predict_nothing  # noqa: SLF001 - FreqAI's only sign of a failure
        model.dd.save_data = save_window
        loaded_exactly(model)

    def report(self, done: int, total: int) -> None:
        """Say how far the window is, by iterations where its library tells them.

        Raises:
            JobCancelled: the job should stop.
        """
        self._job.checkpoint()
        window, now = self._window, time.monotonic()
        if window is None or (done < total and done > 1 and now - self._reported_at < INTERVAL_S):
            return
        position = self._positions[window.pair, window.train_stop] + (done / total if total else 0.0)
        self._percent = max(self._percent, int(LOADED + (TRAINED - LOADED) * position / len(self._windows)))
        self._reported_at = now
        iteration = f", iteration {done}/{total}" if total else ""
        pair = f"{window.pair} ({self._pairs.index(window.pair) + 1}/{len(self._pairs)})"
        self._job.progress(self._percent, 100, f"train {pair}, window {window.number}/{window.total}{iteration}")

    def _where(self, error: Exception) -> Exception:
        if self._window is not None:
            error.add_note(f"while training {self._window.pair}, window {self._window.number} of {self._window.total}: {self._window.trains_on}")
        return error
