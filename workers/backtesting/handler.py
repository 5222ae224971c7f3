"""`backtest.run` and `backtest.compare`: the command's data in, the result out. Importing this module imports no freqtrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.backtesting.compare_params import CompareParams
from workers.backtesting.comparing import compare
from workers.backtesting.params import BacktestParams
from workers.freqtrade.extras import import_engine
from workers.freqtrade.settings import FreqAISettings
from workers.handlers import handler

if TYPE_CHECKING:
    from workers.job import Job


@handler("backtest.run", settings=FreqAISettings)
def run_backtest(job: Job, params: BacktestParams) -> dict[str, Any]:
    """Run freqtrade's backtesting for one strategy.

    Raises:
        MissingDependency: freqtrade isn't installed on this worker.
    """
    settings = FreqAISettings.load()
    engine = import_engine("workers.backtesting.engine", command="backtest.run", extra="backtesting")
    result: dict[str, Any] = engine.run(job, params, settings)
    return result


@handler("backtest.compare")
def compare_backtests(job: Job, params: CompareParams) -> dict[str, Any]:
    """Rank finished backtests, the best first, and draw them on one page."""
    return compare(job, params)
