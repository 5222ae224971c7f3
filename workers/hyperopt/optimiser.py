"""freqtrade's own `Hyperopt`, which tells the job each epoch, stops when the job should, and leaves no process behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

from freqtrade.exceptions import OperationalException
from freqtrade.optimize.hyperopt import Hyperopt, hyperopt_optimizer
from joblib.externals.loky import get_reusable_executor

from workers.freqtrade.candles import no_candles_in_range
from workers.freqtrade.indicators import tell_indicators
from workers.hyperopt.epochs import epoch_row, told_in_short

if TYPE_CHECKING:
    from workers.hyperopt.earlier_run import EarlierRun
    from workers.job import Job


class Optimiser(Hyperopt):
    """A hyperopt of a job. What `hyperopter` holds travels to other processes, so nothing of the job may hang on it while epochs run."""

    def __init__(self, config: dict[str, Any], job: Job, rows: list[dict[str, Any]], earlier: EarlierRun) -> None:
        """As freqtrade's.

        Args:
            config: freqtrade's.
            job: is told of each epoch.
            rows: each epoch that is done is added here, so that they outlive a run that fails.
            earlier: may have epochs already.
        """
        super().__init__(config)
        self.job = job
        self.rows = rows
        self.earlier = earlier
        self._parallel = config["hyperopt_jobs"] > 1

    def start(self, inputs: Callable[[], dict[str, Any]]) -> None:
        """Run the epochs.

        Args:
            inputs: says what they depend on, once the candles are loaded.

        Raises:
            JobCancelled: the job was asked to stop; within the epoch that runs.
            DataMissing: there are no candles in the timerange.
            Exception: an epoch's own.
        """
        self._tell_preparations(inputs)
        self.job.on_cancel(self._stop)
        super().start()

    def run_optimizer_parallel(self, parallel: Any, asked: list[Any]) -> list[dict[str, Any]]:
        self.job.checkpoint()
        epochs = [self.earlier.epoch(params) for params in asked]
        missing = [params for params, epoch in zip(asked, epochs, strict=True) if epoch is None]
        computed = iter(self._compute(parallel, missing) if missing else [])
        return [epoch or next(computed) for epoch in epochs]

    def _compute(self, parallel: Any, asked: list[Any]) -> list[dict[str, Any]]:
        try:
            epochs: list[dict[str, Any]] = super().run_optimizer_parallel(parallel, asked)
        except Exception as exc:
            self.job.checkpoint()  # it comes of `_stop`
            number = len(self.rows) + 1
            exc.add_note(f"hyperopt: in epoch {number}{' or one that ran beside it' if len(asked) > 1 else ''}; the parameters: {asked}")
            raise
        return epochs

    def evaluate_result(self, val: dict[str, Any], current: int, is_random: bool) -> None:  # noqa: FBT001 - freqtrade's signature
        super().evaluate_result(val, current, is_random)
        self.rows.append(epoch_row(val))
        self.job.progress(current, self.total_epochs, told_in_short(self.current_best_epoch))
        self.job.checkpoint()

    def _tell_preparations(self, inputs: Callable[[], dict[str, Any]]) -> None:
        hyperopter, strategy = self.hyperopter, self.hyperopter.backtesting.strategy
        prepare, pairs = hyperopter.prepare_hyperopt, len(hyperopter.pairlist)

        def tell(done: int) -> None:
            self.job.progress(0, self.total_epochs, f"indicators {done}/{pairs}")
            self.job.checkpoint()

        def prepare_and_tell() -> None:
            del hyperopter.prepare_hyperopt
            tell_indicators(strategy, tell)
            try:
                prepare()
            except OperationalException as exc:
                if "No data found" in str(exc):
                    raise no_candles_in_range(hyperopter.backtesting) from exc
                raise
            finally:
                del strategy.advise_indicators
            if there := self.earlier.begin(self.random_state, inputs()):
                self.job.log(f"hyperopt: {there} epochs of an earlier run of this job are there already")

        hyperopter.prepare_hyperopt = prepare_and_tell

    def _stop(self) -> None:
        """End the epochs that run now; called from another thread."""
        self.hyperopter.backtesting.abort = True
        if self._parallel:
            _end_processes()


@contextlib.contextmanager
def no_process_left(workspace: Path, *, jobs: int) -> Iterator[None]:
    """End the processes that several jobs start: joblib's, and freqtrade's, which passes log lines. One job needs none, though freqtrade starts its own for it too.

    joblib's files go into the job's folder, so that they go with it when all processes are killed.
    """
    os.environ["JOBLIB_TEMP_FOLDER"] = str(workspace)
    if jobs == 1:
        hyperopt_optimizer.HyperOptimizer._setup_logging_mp_workaround = _pass_no_log_lines  # noqa: SLF001 - its only place
        yield
        return
    try:
        yield
    finally:
        queue = getattr(hyperopt_optimizer, "log_queue", None)
        if queue is not None:
            queue._manager.shutdown()  # noqa: SLF001 - freqtrade keeps no other way to it
        _end_processes()


def _pass_no_log_lines(_: Any) -> None:
    hyperopt_optimizer.log_queue = Queue()


def _end_processes() -> None:
    get_reusable_executor(reuse=True).shutdown(kill_workers=True)
