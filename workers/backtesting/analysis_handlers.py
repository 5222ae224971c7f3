"""`analysis.lookahead` and `analysis.recursive`: the command's data in, the result out. Importing this module imports no freqtrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.backtesting.analysis_params import AnalysisParams
from workers.freqtrade.extras import import_engine
from workers.freqtrade.settings import FreqtradeSettings
from workers.handlers import handler

if TYPE_CHECKING:
    from workers.job import Job


@handler("analysis.lookahead", settings=FreqtradeSettings)
def analyse_lookahead(job: Job, params: AnalysisParams) -> dict[str, Any]:
    """Run freqtrade's lookahead analysis of one strategy.

    Raises:
        MissingDependency: freqtrade isn't installed on this worker.
    """
    return _analyse("lookahead", job, params)


@handler("analysis.recursive", settings=FreqtradeSettings)
def analyse_recursive(job: Job, params: AnalysisParams) -> dict[str, Any]:
    """Run freqtrade's recursive analysis of one strategy.

    Raises:
        MissingDependency: freqtrade isn't installed on this worker.
    """
    return _analyse("recursive", job, params)


def _analyse(kind: str, job: Job, params: AnalysisParams) -> dict[str, Any]:
    settings = FreqtradeSettings.load()
    engine = import_engine(f"workers.backtesting.{kind}", command=f"analysis.{kind}", extra="backtesting")
    result: dict[str, Any] = engine.run(job, params, settings)
    return result
