"""Backtests as Celery tasks."""

from __future__ import annotations

from typing import Any

from tasks.celery import app
from tasks.config_task import ConfigTask
from workers.backtesting.params import BacktestParams


@app.task(base=ConfigTask, bind=True, service="backtesting", command="backtest.run")
def run_backtest_task(self: ConfigTask, strategy_name: str, config: dict[str, Any], params: dict[str, Any] | None = None) -> BacktestParams:
    """Backtest a strategy of the worker's strategies folder with freqtrade; `.get()` gives the statistics and the artifacts.

    Args:
        self: the task.
        strategy_name: class name of the strategy.
        config: freqtrade config for this backtest, such as `{"timerange": "20250101-20250301", "timeframe": "5m", "exchange": {...}}`.
        params: the artifact `best_params.json` of a hyperopt's result: use these parameters, and no `<Strategy>.json` of the worker.
    """
    return BacktestParams.model_validate({"strategy_name": strategy_name, "config": self.fit(config), "params": params})
