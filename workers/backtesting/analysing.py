"""What freqtrade's two analyses of a strategy share: the config, the checks before they begin, and how they stop."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

from freqtrade.enums import RunMode
from freqtrade.exceptions import OperationalException

from workers.errors import BadRequest
from workers.freqtrade.candles import candle_files_read, check_candles, no_candles_in_range
from workers.freqtrade.config.keys import Section
from workers.freqtrade.manifest import short_manifest
from workers.freqtrade.preparing import Prepared, load_backtesting, offline_exchanges, prepare
from workers.freqtrade.running import FreqtradeRun, freqtrade_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.backtesting.analysis_params import AnalysisParams
    from workers.freqtrade.settings import FreqtradeSettings
    from workers.job import Job

Override = Callable[[dict[str, Any]], dict[str, Any]]
"""What the analysis sets in freqtrade's config before anything else looks at it."""
Analyse = Callable[[dict[str, Any], dict[str, Any], "Job"], dict[str, Any]]
"""Takes freqtrade's config, its word for a strategy (`name` and `location`) and the job; returns the result's own part."""


def run_analysis(
    job: Job, params: AnalysisParams, settings: FreqtradeSettings, *, section: Section, override: Override, analyse: Analyse
) -> dict[str, Any]:
    """Run one analysis and return its result.

    Args:
        job: the job.
        params: the command's.
        settings: the worker's folders.
        section: the table of keys of the call's config.
        override: freqtrade's own for this analysis.
        analyse: the analysis itself.

    Raises:
        BadRequest: the config or the strategy's name is wrong.
        DataMissing: a candle file, the strategies folder or the base config isn't there.
        JobCancelled: the job was asked to stop.
    """
    job.progress(0, None, "load")
    with freqtrade_run(job, settings) as running:
        result = _analyse(running, params, section, override, analyse)
    artifacts = [job.artifact(running.workspace.manifest_file), job.artifact(running.workspace.log_file, media_type="text/plain")]
    return result | {"artifacts": artifacts} | running.costs()


def _analyse(running: FreqtradeRun, params: AnalysisParams, section: Section, override: Override, analyse: Analyse) -> dict[str, Any]:
    prepared = prepare(running, params.strategy_name, params.config, section=section, runmode=RunMode.UTIL_NO_EXCHANGE)
    if "timerange" not in prepared.merged:
        raise BadRequest("timerange: needed; an analysis takes no default")
    # As in freqtrade's command: it judges the caller's config, and then the one that its analysis changed.
    prepared = replace(prepared, config=override(prepared.config))
    with candle_files_read() as read:
        backtesting, markets = _checked_backtesting(prepared, running.settings)
        with offline_exchanges(running.settings), _told_as_missing(backtesting):
            result = analyse(prepared.config, {"name": params.strategy_name, "location": prepared.strategy_file}, running.job)
    manifest = prepared.manifest(backtesting.strategylist[0], read, markets)
    running.workspace.manifest_file.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    return (
        {"strategy": params.strategy_name, "timeframe": backtesting.timeframe, "timerange": prepared.merged["timerange"]}
        | result
        | {
            "config": prepared.verdicts,
            "synthetic_markets": markets.synthetic,
            "manifest": short_manifest(manifest),
        }
    )


def _checked_backtesting(prepared: Prepared, settings: FreqtradeSettings) -> tuple[Any, Any]:
    """Load the strategy and look for its candles: an analysis makes its own `Backtesting` objects, and says less about what is wrong."""
    aside = replace(prepared, config=deepcopy(prepared.config))  # it writes the strategy's settings into the config
    backtesting, markets = load_backtesting(aside, settings)
    check_candles(backtesting)
    return backtesting, markets


@contextmanager
def _told_as_missing(backtesting: Any) -> Iterator[None]:
    try:
        yield
    except OperationalException as exc:
        if "No data found" in str(exc):
            raise no_candles_in_range(backtesting) from exc
        raise


class Stoppable:
    """Mixed into an analysis of freqtrade's: it stops before each of its backtests, and within them."""

    job: Job
    _backtesting: Any = None

    def stop_with(self, job: Job) -> None:
        """Stop when this job should."""
        self.job = job
        job.on_cancel(self._stop)

    def prepare_data(self, *args: Any, **kwargs: Any) -> None:
        self.job.checkpoint()
        super().prepare_data(*args, **kwargs)  # type: ignore[misc]  # freqtrade's, which has no types

    def get_result(self, backtesting: Any, processed: Any) -> Any:
        self._backtesting = backtesting
        self.job.checkpoint()
        return super().get_result(backtesting, processed)  # type: ignore[misc]  # the same

    def _stop(self) -> None:
        if self._backtesting is not None:
            self._backtesting.abort = True
