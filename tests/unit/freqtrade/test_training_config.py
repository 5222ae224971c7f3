"""A training takes the config of a backtest; a trained model in it is the claim check of an artifact, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.freqai import train_freqai_model_task
from workers.errors import BadRequest
from workers.freqai.params import TrainParams
from workers.freqtrade.config.keys import CONFIG, TRAINING
from workers.freqtrade.config.policy import judge
from workers.freqtrade.freqai.trained_model import claim_check
from workers.freqtrade.freqai.windows import Window, check_pairs

CLAIM: dict[str, Any] = {"name": "a.zip", "uri": "file:///artifacts/job/a.zip", "size": 1, "sha256": "0" * 64, "media_type": "application/zip"}


def test_claim_check_of_a_model_passes_a_backtests_policy() -> None:
    judged = judge({"freqai": {"model": CLAIM}})
    assert judged.clean == {"freqai": {"model": CLAIM}}
    assert judged.refused == {}
    assert claim_check(CLAIM).sha256 == "0" * 64


def test_other_keys_of_a_model_are_refused_by_their_names() -> None:
    assert set(judge({"freqai": {"model": CLAIM | {"path": "S3CRET"}}}).refused) == {"freqai.model.path"}


@pytest.mark.parametrize("value", ["a.zip", None, [], {}, CLAIM | {"size": "big"}])
def test_what_is_no_claim_check_is_refused_without_its_value(value: object) -> None:
    with pytest.raises(BadRequest, match=r"freqai\.model: must be the model_artifact of a training's result") as raised:
        claim_check(value)
    assert "a.zip" not in str(raised.value)


def test_training_says_what_it_ignores_of_a_backtests_config() -> None:
    config = {
        "freqaimodel": "LightGBMRegressor",
        "freqai": {"enabled": False, "save_backtest_models": False, "identifier": "a", "train_period_days": 3},
    }
    judged = judge(config, TRAINING)
    assert judged.clean == {"freqai": {"identifier": "a", "train_period_days": 3}}
    assert set(judged.ignored) == {"freqaimodel", "freqai.enabled", "freqai.save_backtest_models"}
    assert judge({"freqai": {"model": CLAIM}}, TRAINING).refused == {"freqai.model": "a training makes a model; a backtest uses one"}
    assert judge({"freqaimodel": "LightGBMRegressor"}, CONFIG).used == ("freqaimodel",)


def test_task_refuses_a_secret_before_anything_is_sent() -> None:
    with pytest.raises(BadRequest, match=r"nothing was sent:\n  exchange.secret: a secret"):
        train_freqai_model_task.delay("FreqaiExample", "LightGBMRegressor", {"exchange": {"secret": "S3CRET"}})


def test_task_sends_what_the_worker_takes() -> None:
    sent = train_freqai_model_task.payload("FreqaiExample", "LightGBMRegressor", {"timerange": "20260101-20260201", "telegram": {"token": "T0KEN"}})
    assert sent == TrainParams(
        strategy_name="FreqaiExample", model_name="LightGBMRegressor", config={"timerange": "20260101-20260201", "telegram": None}
    )


def test_two_pairs_of_one_coin_are_refused() -> None:
    with pytest.raises(BadRequest, match="several pairs of BTC"):
        check_pairs(["BTC/USDT:USDT", "ETH/USDT:USDT", "BTC/USDT:USDT-261225"])


def test_window_as_a_row() -> None:
    window = Window("BTC/USDT", 1, 2, 1767398400, 1767657600, 1767657600, 1767830400)
    assert window.trains_on == "2026-01-03 00:00 to 2026-01-06 00:00"
    assert window.row()["predict_stop"] == "2026-01-08T00:00:00+00:00"
