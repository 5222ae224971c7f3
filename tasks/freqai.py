"""FreqAI trainings as Celery tasks."""

from __future__ import annotations

from typing import Any

from tasks.celery import app
from tasks.config_task import ConfigTask
from workers.freqai.params import TrainParams
from workers.freqtrade.config.keys import TRAINING


class TrainingTask(ConfigTask):
    """Called as `(strategy_name, model_name, config)`."""

    abstract = True

    section = TRAINING
    config_position = 2


@app.task(base=TrainingTask, bind=True, service="freqai", command="freqai.train")
def train_freqai_model_task(self: ConfigTask, strategy_name: str, model_name: str, config: dict[str, Any]) -> TrainParams:
    """Train a FreqAI model on each window of a timerange; `.get()` gives the metrics of each window and the model's artifact.

    Its `["model_artifact"]` is what `config["freqai"]["model"]` of a `run_backtest_task` takes.

    Args:
        self: the task.
        strategy_name: class name of the strategy, which makes the features and the targets.
        model_name: FreqAI's model class, such as LightGBMRegressor, or one of the worker's freqaimodels folder.
        config: freqtrade config, as of the backtest that will use the model: `{"timerange": "20250101-20250301", "freqai": {...}, ...}`.
    """
    return TrainParams.model_validate({"strategy_name": strategy_name, "model_name": model_name, "config": self.fit(config)})
