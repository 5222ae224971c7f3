"""Backtests of what another service made: the second task of a chain, whose first argument is the first one's result. They hand on claim checks only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.backtest_task import BacktestTask
from tasks.celery import app
from workers.backtesting.params import BacktestParams
from workers.errors import BadRequest

BEST_PARAMS = "best_params.json"


class FollowUpTask(BacktestTask):
    """Called as `(result, strategy_name, config)`."""

    abstract = True
    config_position = 2


@app.task(base=FollowUpTask, bind=True, service="backtesting", command="backtest.run")
def validate_hyperopt_task(self: FollowUpTask, hyperopt: Mapping[str, Any], strategy_name: str, config: dict[str, Any]) -> BacktestParams:
    """Backtest a strategy with the best parameters of a hyperopt.

    Args:
        self: the task.
        hyperopt: the result of `run_hyperopt_task`.
        strategy_name: class name of the strategy.
        config: freqtrade's, with a timerange that the hyperopt didn't see.

    Raises:
        BadRequest: the hyperopt found no parameters.
    """
    params = next((item for item in hyperopt["artifacts"] if item["name"] == BEST_PARAMS), None)
    if params is None:
        raise BadRequest(f"hyperopt: it left no {BEST_PARAMS}: no epoch made enough trades")
    return BacktestParams.model_validate({"strategy_name": strategy_name, "config": self.fit(config), "params": params})


@app.task(base=FollowUpTask, bind=True, service="backtesting", command="backtest.run")
def backtest_trained_task(self: FollowUpTask, training: Mapping[str, Any], strategy_name: str, config: dict[str, Any]) -> BacktestParams:
    """Backtest a strategy with the model of a training.

    Args:
        self: the task.
        training: the result of `train_freqai_model_task`.
        strategy_name: class name of the strategy.
        config: freqtrade's; what it says of `freqai` must be what the model was trained with, or be left out.
    """
    with_model = {**config, "freqai": {**config.get("freqai", {}), "model": training["model_artifact"]}}
    return BacktestParams.model_validate({"strategy_name": strategy_name, "config": self.fit(with_model)})
