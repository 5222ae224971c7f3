"""Real runs have pages, and what these draw is what freqtrade computed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.equality.conftest import Backtests, Outcome, call_config
from tests.equality.freqai import FREQAI_STRATEGIES, freqai_config, trained
from tests.unit.reports.test_backtest_page import Elements


def page_of(outcome: Outcome) -> str:
    assert outcome.error == {}
    assert "report_error" not in outcome.result
    assert outcome.result["report"] == (outcome.stored / "report.html").as_uri()
    assert (outcome.stored.parent / "index.html").is_file()
    return (outcome.stored / "report.html").read_text()


def data_of(outcome: Outcome) -> Any:
    return json.loads(Elements(page_of(outcome)).scripts[0])


def test_a_backtest_draws_freqtrades_own_numbers(backtests: Backtests) -> None:
    outcome = backtests.run("EmaCross", call_config(timerange="20260103-20260118"))
    data, stats = data_of(outcome), outcome.stats
    assert data["equity"][-1][1] == pytest.approx(stats["final_balance"])
    assert max(ratio for _, ratio in data["drawdown"]) == pytest.approx(stats["max_relative_drawdown"])
    assert len(data["trades"]["pair"]) == stats["total_trades"] > 10
    assert sum(data["trades"]["profit"]) == pytest.approx(stats["profit_total_abs"], abs=0.01)
    assert {"BTC/USDT", "ETH/USDT", "SOL/USDT"} == set(data["candles"])
    for number, pair in enumerate(data["trades"]["pair"]):
        bars = data["candles"][data["trades"]["texts"][pair]]
        for moment, rate in (
            (data["trades"][when][number], data["trades"][side][number]) for when, side in (("opened", "entry"), ("closed", "exit"))
        ):
            place = (moment - bars["start"]) // bars["step"]
            assert bars["low"][place] * 0.999 <= rate <= bars["high"][place] * 1.001, "a mark lies on its candle"
    record = json.loads((outcome.stored / "run.json").read_text())
    assert record["numbers"]["sharpe"] == stats["sharpe"]


def test_a_secret_of_the_workers_config_reaches_no_page(backtests: Backtests) -> None:
    backtests.base_config = backtests.folder / "base.json"
    backtests.base_config.write_text(
        json.dumps({"telegram": {"enabled": True, "token": "T0KEN", "chat_id": "1"}, "api_server": {"password": "PASSW0RD"}})
    )
    outcome = backtests.run("EmaCross", call_config(timerange="20260103-20260106"))
    assert "EmaCross" in page_of(outcome)
    stored = [path.read_bytes() for path in outcome.stored.parent.rglob("*") if path.is_file()]
    assert not any(secret in content for content in stored for secret in (b"T0KEN", b"PASSW0RD"))


@pytest.mark.slow
def test_a_training_and_a_hyperopt_have_pages(backtests: Backtests) -> None:
    backtests.strategies = FREQAI_STRATEGIES
    data = data_of(trained(backtests, freqai_config()))
    assert len(data["windows"]) == 4
    assert "&-move rmse" in data["metrics"]

    backtests.strategies = FREQAI_STRATEGIES.parent
    config = call_config(timerange="20260103-20260106", epochs=3, spaces=["buy"], hyperopt_loss="OnlyProfitHyperOptLoss", hyperopt_random_state=7)
    outcome = backtests.run("RsiReversion", config, command="hyperopt.run")
    assert len(data_of(outcome)["losses"]) <= outcome.result["epochs"] == 3
