"""From the Celery tasks: a hyperopt's best parameters go into a backtest as the artifact that they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.backtesting import run_backtest_task, run_lookahead_analysis_task
from tasks.hyperopt import run_hyperopt_task
from tests.equality.conftest import STRATEGIES, call_config


@pytest.mark.slow
def test_hyperopt_then_backtest_with_its_best_parameters(synthetic_candles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"JOBS_DIR": "jobs", "ARTIFACTS_URL": "artifacts", "FREQTRADE_USER_DATA": "user_data"}
    for name, value in {key: tmp_path / folder for key, folder in places.items()}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("FREQTRADE_STRATEGIES", str(STRATEGIES))
    monkeypatch.setenv("FREQTRADE_DATADIR", str(synthetic_candles))
    config = call_config(timerange="20260105-20260108")
    search = {"hyperopt_loss": "OnlyProfitHyperOptLoss", "epochs": 3, "spaces": ["buy", "sell"], "hyperopt_random_state": 5}

    found = run_hyperopt_task.apply(("RsiReversion", config | search)).get()
    (best,) = (item for item in found["artifacts"] if item["name"] == "best_params.json")
    backtest = run_backtest_task.apply(("RsiReversion", config), {"params": best}).get()
    analysis = run_lookahead_analysis_task.apply(("RsiReversion", config | {"minimum_trade_amount": 1, "targeted_trade_amount": 2})).get()

    assert {space: backtest["applied_params"][space] for space in ("buy", "sell")} == found["best"]["params"]
    assert backtest["total_trades"] == found["best"]["metrics"]["total_trades"]
    assert backtest["profit_total"] == found["best"]["metrics"]["profit_total"]
    assert analysis["rows"][0]["has_bias"] is False
