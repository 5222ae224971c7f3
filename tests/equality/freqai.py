"""FreqAI in small: a config, model classes of a user's own, and what FreqAI predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.equality.conftest import STRATEGIES, Backtests, Outcome, call_config

FREQAI_STRATEGIES = STRATEGIES / "freqai"
PAIRS = ["BTC/USDT", "ETH/USDT"]

COUNTED = '''
from pathlib import Path
from freqtrade.freqai.prediction_models.{base} import {base}

class Counted({base}):
    """A user's own model class, which notes each fit."""

    def fit(self, data_dictionary, dk, **kwargs):
        with Path(__file__).with_name("fits.txt").open("a") as notes:
            notes.write(f"{{dk.data_path.name}}\\n")
        {before}
        return super().fit(data_dictionary, dk, **kwargs)
'''


def freqai_config(*, timerange: str = "20260106-20260110", **freqai: Any) -> dict[str, Any]:
    """Two pairs, two windows of two days each, trained on three days: four trainings."""
    section: dict[str, Any] = {
        "enabled": True,
        "identifier": "example",
        "train_period_days": 3,
        "backtest_period_days": 2,
        "feature_parameters": {
            "include_timeframes": ["5m", "1h"],
            "include_corr_pairlist": ["BTC/USDT"],
            "label_period_candles": 12,
            "include_shifted_candles": 1,
            "indicator_periods_candles": [10],
        },
        "data_split_parameters": {"test_size": 0.2},
        "model_training_parameters": {"n_estimators": 20, "random_state": 1, "verbosity": -1, "n_jobs": 1},
    }
    return call_config(exchange={"name": "binance", "pair_whitelist": PAIRS}, timerange=timerange, freqai=section | freqai)


def train(jobs: Backtests, config: dict[str, Any], *, model: str = "LightGBMRegressor", strategy: str = "FreqaiExample", **how: Any) -> Outcome:
    """One training job."""
    return jobs.run(strategy, config, command="freqai.train", model_name=model, **how)


def trained(jobs: Backtests, config: dict[str, Any], *, model: str = "LightGBMRegressor") -> Outcome:
    """One training job that succeeds."""
    outcome = train(jobs, config, model=model)
    assert outcome.error == {}
    return outcome


def using(training: Outcome, **changes: Any) -> dict[str, Any]:
    """The config of a backtest with a trained model; the rest of the section comes from the model."""
    return (
        {key: value for key, value in freqai_config().items() if key != "freqai"} | {"freqai": {"model": training.result["model_artifact"]}} | changes
    )


def own_model(jobs: Backtests, *, base: str = "LightGBMRegressor", before: str = "pass", name: str = "counted.py") -> Path:
    """Put a model class into the worker's freqaimodels folder; returns the file where each of its fits is noted."""
    folder = jobs.folder / "user_data" / "freqaimodels"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(COUNTED.format(base=base, before=before))
    return folder / "fits.txt"


def predictions(user_data: Path) -> dict[str, bytes]:
    """What FreqAI predicted in each window, as it stored it."""
    folder = user_data / "models" / "example" / "backtesting_predictions"
    return {path.name: path.read_bytes() for path in folder.glob("*.feather")}
