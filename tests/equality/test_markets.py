"""Where a backtest's markets come from: a refresh writes the snapshot that later backtests use; without one they are made up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.equality.conftest import PAIRS, Backtests, DataJobs, call_config


def test_refreshed_markets_are_used_by_the_next_backtest(backtests: Backtests, data_jobs: DataJobs) -> None:
    config = call_config(timerange="20260105-20260108")
    made_up = backtests.run("EmaCross", config).result
    refreshed = data_jobs.run("data.refresh_markets")
    assert refreshed.error == {}
    assert refreshed.result["markets"] == 10
    backtests.markets = data_jobs.user_data / "markets"

    outcome = backtests.run("EmaCross", config)

    assert outcome.error == {}
    assert (made_up["synthetic_markets"], outcome.result["synthetic_markets"]) == (True, False)
    assert outcome.result["manifest"]["markets"]["file"] == refreshed.result["file"] == "binance-spot.json"
    assert outcome.result["manifest"]["markets"]["sha256"] != made_up["manifest"]["markets"]["sha256"]
    # 100 USDT of a coin, rounded down to the exchange's step.
    amounts = [trade["amount"] for trade in outcome.stats["trades"] if trade["pair"] == "SOL/USDT"]
    assert amounts
    assert amounts == [round(amount, 3) for amount in amounts]


@pytest.mark.parametrize("exchange", ["kraken", "okx", "mexc"], ids=["its own class", "tiers for each market", "no class of its own"])
def test_any_exchange_without_a_network(backtests: Backtests, exchange: str) -> None:
    config = call_config(exchange={"name": exchange, "pair_whitelist": [".*/USDT"]}, timerange="20260105-20260106")
    outcome = backtests.run("EmaCross", config)
    assert outcome.error == {}
    assert {row["pair"] for row in outcome.result["pairs"]} == set(PAIRS), "a pattern finds the pairs that have candles"


FUTURES = """
import sys
from pathlib import Path
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
source, target = (get_datahandler(Path(folder), "feather") for folder in sys.argv[1:])
for timeframe in ("5m", "1h"):
    candles = source._ohlcv_load("BTC/USDT", timeframe, None, CandleType.SPOT)
    target.ohlcv_store("BTC/USDT:USDT", timeframe, candles, CandleType.FUTURES)
target.ohlcv_store("BTC/USDT:USDT", "1h", candles, CandleType.MARK)
target.ohlcv_store("BTC/USDT:USDT", "1h", candles.iloc[::8].assign(funding_rate=0.0001), CandleType.FUNDING_RATE)
"""


def test_futures_with_funding_fees(backtests: Backtests, tmp_path: Path) -> None:
    (tmp_path / "candles").mkdir()
    command = [sys.executable, "-c", FUTURES, str(backtests.datadir), str(tmp_path / "candles")]
    subprocess.run(command, check=True, capture_output=True)
    backtests.datadir = tmp_path / "candles"
    config = call_config(
        exchange={"name": "bybit", "pair_whitelist": ["BTC/USDT:USDT"]}, trading_mode="futures", margin_mode="isolated", timerange="20260102-20260110"
    )

    outcome = backtests.run("EmaCross", config)

    assert outcome.error == {}
    assert outcome.result["trading_mode"] == "futures"
    assert outcome.result["total_trades"] > 10
    assert any(trade["funding_fees"] for trade in outcome.stats["trades"])
