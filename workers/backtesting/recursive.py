"""freqtrade's recursive analysis: how much does an indicator depend on how many candles came before?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

from freqtrade.configuration import TimeRange
from freqtrade.optimize.analysis.recursive import RecursiveAnalysis
from freqtrade.optimize.analysis.recursive_helpers import RecursiveAnalysisSubFunctions
from freqtrade.util import get_progress_tracker

from workers.backtesting.analysing import Stoppable, run_analysis
from workers.errors import BadRequest
from workers.freqtrade.config.keys import RECURSIVE
from workers.freqtrade.json_safe import json_safe

if TYPE_CHECKING:
    from workers.backtesting.analysis_params import AnalysisParams
    from workers.freqtrade.settings import FreqtradeSettings
    from workers.job import Job


class StoppableRecursive(Stoppable, RecursiveAnalysis):
    """freqtrade's own, for a job."""


def run(job: Job, params: AnalysisParams, settings: FreqtradeSettings) -> dict[str, Any]:
    """Run one recursive analysis, see `run_analysis`."""
    override = RecursiveAnalysisSubFunctions.calculate_config_overrides
    return run_analysis(job, params, settings, section=RECURSIVE, override=override, analyse=analyse)


def analyse(config: dict[str, Any], strategy: dict[str, Any], job: Job) -> dict[str, Any]:
    """What freqtrade's command does for one strategy.

    A row is an indicator whose last value differs. `variance` is the difference by the number of startup candles, as a ratio of the value with all candles
    (freqtrade shows percents); null where it is no number. A count that isn't there showed no difference.
    """
    timerange = TimeRange.parse_timerange(config["timerange"])
    if timerange.startdt is None or timerange.stopdt is None:
        raise BadRequest("timerange: a recursive analysis looks at its first and its last candle, so it needs a start and an end")
    analysis = StoppableRecursive(config, strategy)
    analysis.stop_with(job)

    def tell(task: Any) -> None:
        job.progress(int(task.completed), int(task.total), task.description)

    analysis.start(get_progress_tracker(ft_callback=tell))

    pair = analysis.pair_to_used
    counts = [
        {"startup_candle": part.startup_candle, "candles": len(part.indicators[pair]), "of_strategy": part.startup_candle == analysis._strat_scc}  # noqa: SLF001 - freqtrade's own table asks it too
        for part in analysis.partial_varHolder_array
    ]
    rows = [
        {"indicator": name, "variance": {str(count): json_safe(ratio) for count, ratio in sorted(ratios.items())}}
        for name, ratios in analysis.dict_recursive.items()
    ]
    return {"pair": pair, "startup_candles": counts, "rows": rows, "lookahead_indicators": _lookahead_indicators(analysis)}


def _lookahead_indicators(analysis: Any) -> list[str]:
    """The indicators whose value at the same candle differs once later candles are missing; freqtrade only logs them."""
    pair = analysis.pair_to_used
    early = analysis.partial_varHolder_lookahead_array[0].indicators[pair].iloc[-1]
    whole = analysis.full_varHolder.indicators[pair]
    late = whole.loc[whole["date"] == early["date"]].iloc[-1]
    return [str(name) for name in late.compare(early).index]
