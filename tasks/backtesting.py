"""Backtests, comparisons of them, and analyses of strategies, as Celery tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bridge import StreamTask
from tasks.backtest_task import BacktestTask
from tasks.celery import app
from tasks.config_task import ConfigTask
from tasks.ranking import row_of
from workers.backtesting.analysis_params import AnalysisParams
from workers.backtesting.compare_params import CompareParams
from workers.backtesting.params import BacktestParams
from workers.freqtrade.config.keys import LOOKAHEAD, RECURSIVE


@app.task(base=BacktestTask, bind=True, service="backtesting", command="backtest.run")
def run_backtest_task(
    self: BacktestTask, strategy_name: str, config: dict[str, Any], params: dict[str, Any] | None = None, *, reuse: bool = False
) -> BacktestParams:
    """Backtest a strategy of the worker's strategies folder with freqtrade; `.get()` gives the statistics and the artifacts.

    Args:
        self: the task.
        strategy_name: class name of the strategy.
        config: freqtrade config for this backtest, such as `{"timerange": "20250101-20250301", "timeframe": "5m", "exchange": {...}}`.
        params: the artifact `best_params.json` of a hyperopt's result: use these parameters, and no `<Strategy>.json` of the worker.
        reuse: when the same backtest was run before, with the same code, candles, markets and versions, its result will do; `reused` says so then.
    """
    return BacktestParams.model_validate({"strategy_name": strategy_name, "config": self.fit(config), "params": params, "reuse": reuse})


@app.task(base=StreamTask, service="backtesting", command="backtest.compare")
def compare_task(results: Sequence[Mapping[str, Any]], *, title: str = "Comparison", sort_by: str = "profit_total") -> CompareParams:
    """Rank backtests: the body of a chord of them, as `tasks.research` makes it.

    Args:
        results: of backtests, or rows of them (`tasks.ranking`).
        title: of the report.
        sort_by: a number of the rows (`RankedBy`), the best first.
    """
    return CompareParams.model_validate({"title": title, "rows": [row_of(each) for each in results], "sort_by": sort_by})


class LookaheadTask(ConfigTask):
    """Its config's keys are a lookahead analysis'."""

    abstract = True
    section = LOOKAHEAD


class RecursiveTask(ConfigTask):
    """Its config's keys are a recursive analysis'."""

    abstract = True
    section = RECURSIVE


@app.task(base=LookaheadTask, bind=True, service="backtesting", command="analysis.lookahead")
def run_lookahead_analysis_task(self: LookaheadTask, strategy_name: str, config: dict[str, Any]) -> AnalysisParams:
    """Find out whether a strategy looks into the future; `.get()` gives freqtrade's findings as rows.

    Args:
        self: the task.
        strategy_name: class name of the strategy.
        config: freqtrade config as for a backtest, with a `timerange`, and maybe `minimum_trade_amount` and `targeted_trade_amount`.
    """
    return AnalysisParams.model_validate({"strategy_name": strategy_name, "config": self.fit(config)})


@app.task(base=RecursiveTask, bind=True, service="backtesting", command="analysis.recursive")
def run_recursive_analysis_task(self: RecursiveTask, strategy_name: str, config: dict[str, Any]) -> AnalysisParams:
    """Find out how much a strategy's indicators depend on the number of startup candles; `.get()` gives freqtrade's findings as rows.

    Args:
        self: the task.
        strategy_name: class name of the strategy.
        config: freqtrade config as for a backtest, with a `timerange` that has an end, and maybe a list `startup_candle`, such as `[199, 499, 999]`.
    """
    return AnalysisParams.model_validate({"strategy_name": strategy_name, "config": self.fit(config)})
