"""Hyperopts as Celery tasks."""

from __future__ import annotations

from typing import Any

from tasks.celery import app
from tasks.config_task import ConfigTask
from workers.freqtrade.config.keys import HYPEROPT
from workers.hyperopt.params import HyperoptParams


class HyperoptTask(ConfigTask):
    """Its config's keys are a hyperopt's."""

    abstract = True
    section = HYPEROPT


@app.task(base=HyperoptTask, bind=True, service="hyperopt", command="hyperopt.run")
def run_hyperopt_task(self: HyperoptTask, strategy_name: str, config: dict[str, Any]) -> HyperoptParams:
    """Optimise a strategy's parameters with freqtrade; `.get()` gives the best epochs, and the best parameters as the artifact `best_params.json`.

    Nothing is written beside the strategy: pass the artifact to `run_backtest_task(..., params=...)` to use it.

    Args:
        self: the task.
        strategy_name: class name of the strategy.
        config: freqtrade config for this hyperopt, such as
            `{"hyperopt_loss": "SharpeHyperOptLossDaily", "epochs": 200, "spaces": ["buy", "sell"], "timerange": "20250101-20250301", "exchange": {...}}`.
    """
    return HyperoptParams.model_validate({"strategy_name": strategy_name, "config": self.fit(config)})
