"""freqtrade's lookahead analysis: is a strategy's signal still there when the candles after it aren't?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

from freqtrade.optimize.analysis.lookahead import LookaheadAnalysis
from freqtrade.optimize.analysis.lookahead_helpers import LookaheadAnalysisSubFunctions
from freqtrade.util import get_progress_tracker

from workers.backtesting.analysing import Stoppable, run_analysis
from workers.freqtrade.config.keys import LOOKAHEAD

if TYPE_CHECKING:
    from workers.backtesting.analysis_params import AnalysisParams
    from workers.freqtrade.settings import FreqtradeSettings
    from workers.job import Job


class StoppableLookahead(Stoppable, LookaheadAnalysis):
    """freqtrade's own, for a job."""


def run(job: Job, params: AnalysisParams, settings: FreqtradeSettings) -> dict[str, Any]:
    """Run one lookahead analysis, see `run_analysis`."""
    override = LookaheadAnalysisSubFunctions.calculate_config_overrides
    return run_analysis(job, params, settings, section=LOOKAHEAD, override=override, analyse=analyse)


def analyse(config: dict[str, Any], strategy: dict[str, Any], job: Job) -> dict[str, Any]:
    """What freqtrade's command does for one strategy; `rows` has the columns of its CSV file.

    `has_bias` is null when freqtrade can't tell, and `reason` says why.
    """
    minimum, target = config["minimum_trade_amount"], config["targeted_trade_amount"]
    analysis = StoppableLookahead(config, strategy)
    analysis.stop_with(job)
    job.progress(0, target, "the whole timerange")

    def tell(task: Any) -> None:
        trades = min(target, len(analysis.full_varHolder.result["results"]))
        job.progress(int(task.completed), trades, f"trades {int(task.completed)}/{trades}")

    analysis.start(get_progress_tracker(ft_callback=tell))

    found = analysis.current_analysis
    enough = found.total_signals >= minimum and not analysis.failed_bias_check
    row = {
        "filename": strategy["location"].name,
        "strategy": strategy["name"],
        "has_bias": bool(found.has_bias) if enough else None,
        "total_signals": found.total_signals,
        "biased_entry_signals": found.false_entry_signals,
        "biased_exit_signals": found.false_exit_signals,
        "biased_indicators": list(found.false_indicators),
    }
    trades = len(analysis.full_varHolder.result["results"])
    too_few = (
        f"too few trades: {found.total_signals} could be checked of {trades} found, minimum_trade_amount is {minimum}; a longer timerange has more"
    )
    return {"rows": [row], "reason": None if enough else too_few, "minimum_trade_amount": minimum, "targeted_trade_amount": target}
