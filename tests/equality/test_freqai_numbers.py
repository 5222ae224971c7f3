"""FreqAI's predictions and the trades that come of them equal those of freqtrade's own command, trained by the backtest itself or by a training before it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.equality.conftest import Backtests, market, plain_freqtrade, write_markets
from tests.equality.freqai import FREQAI_STRATEGIES, PAIRS, freqai_config, predictions, trained, using
from tests.equality.test_same_numbers import WHEN_IT_RAN, assert_same_numbers


def compare(jobs: Backtests, config: dict[str, Any], model: str) -> None:
    """Train, backtest with the model, and run freqtrade's own command, which does both."""
    jobs.strategies = FREQAI_STRATEGIES
    jobs.markets = write_markets(
        jobs.folder / "markets", *(market(pair, price=0.01, amount=0.001, smallest_cost=5, fee=0.001) for pair in PAIRS)
    ).parent

    training = trained(jobs, config, model=model)
    backtest = jobs.run("FreqaiExample", config | {"freqai": {"model": training.result["model_artifact"]}})
    plain = plain_freqtrade(jobs, "FreqaiExample", config, jobs.markets / "binance-spot.json", "--freqaimodel", model)

    assert_same_numbers(backtest, plain)
    windows = predictions(jobs.folder / "plain")
    assert len(windows) == len(training.result["windows"])
    assert predictions(training.directory / "user_data") == windows
    assert predictions(backtest.directory / "user_data") == windows


def test_lightgbm_regressor(backtests: Backtests) -> None:
    compare(backtests, freqai_config(), "LightGBMRegressor")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("LightGBMRegressor", {"n_estimators": 20, "random_state": 1, "verbosity": -1, "n_jobs": 1}),
        ("XGBoostRegressor", {"n_estimators": 10, "random_state": 1, "n_jobs": 1}),
    ],
    ids=["lightgbm", "xgboost"],
)
@pytest.mark.parametrize(
    ("freqai", "features"),
    [
        # freqtrade goes on from the last model only when it keeps models.
        ({"continual_learning": True, "save_backtest_models": True}, {}),
        ({"fit_live_predictions_candles": 100}, {}),
        (
            {"data_kitchen_thread_count": 1},
            {"DI_threshold": 2, "weight_factor": 0.9, "buffer_train_data_candles": 6, "principal_component_analysis": True},
        ),
    ],
    ids=["continual", "fitted live", "outliers"],
)
def test_each_way_to_train(
    backtests: Backtests,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    parameters: dict[str, Any],
    freqai: dict[str, Any],
    features: dict[str, Any],
) -> None:
    # The principal components and the distances of the dissimilarity index depend on the number of threads, by the last bit: one, as in a job.
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    features = freqai_config()["freqai"]["feature_parameters"] | features
    # Three windows of a day and a half, the last one cut off by the end of the timerange.
    freqai = freqai | {"backtest_period_days": 1.5, "feature_parameters": features, "model_training_parameters": parameters}
    compare(backtests, freqai_config(**freqai), model)


def test_a_backtest_that_trains_by_itself_is_what_it_was(backtests: Backtests) -> None:
    backtests.strategies = FREQAI_STRATEGIES
    training = trained(backtests, freqai_config())

    alone = backtests.run("FreqaiExample", freqai_config() | {"freqaimodel": "LightGBMRegressor"})
    with_model = backtests.run("FreqaiExample", using(training))

    assert alone.error == with_model.error == {}
    same = set(alone.stats) - WHEN_IT_RAN
    assert {key: alone.stats[key] for key in same} == {key: with_model.stats[key] for key in same}
    assert "trained_model" not in alone.result
    assert with_model.result["trained_model"]["predicted_windows"] == 4
