"""Futures: leverage, shorts, tiers, liquidations and funding fees have the numbers of freqtrade's own run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.equality.conftest import ROOT, STRATEGIES, Backtests, call_config, market, plain_freqtrade
from tests.equality.test_same_numbers import assert_same_numbers

PAIRS = ("BTC/USDT:USDT", "ETH/USDT:USDT")
FUTURES = {"trading_mode": "futures", "margin_mode": "isolated", "exchange": {"name": "binance", "pair_whitelist": list(PAIRS)}}
BOLD = """
from ema_both_ways import EmaBothWays


class Bold(EmaBothWays):
    minimal_roi = {"0": 1}
    stoploss = -0.99

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe

    def leverage(self, pair, current_time, current_rate, proposed_leverage, max_leverage, **kwargs):
        return max_leverage
"""
"""Takes all the leverage that there is, and never leaves by itself: what ends it is a liquidation."""


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    datadir = tmp_path_factory.mktemp("futures")
    command = [sys.executable, "-m", "examples.candles", str(datadir), "--days", "8", "--timeframes", "5m", "--pairs", *PAIRS]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return datadir


@pytest.fixture
def futures(backtests: Backtests, candles: Path) -> Backtests:
    backtests.datadir = candles
    backtests.strategies = backtests.folder / "strategies"
    backtests.strategies.mkdir()
    (backtests.strategies / "ema_both_ways.py").symlink_to(STRATEGIES / "futures" / "ema_both_ways.py")
    return backtests


def perpetual(pair: str) -> dict[str, Any]:
    """One linear perpetual as an exchange gives it."""
    spot = market(pair.partition(":")[0], price=0.01, amount=0.001, smallest_cost=5, fee=0.0005)
    kind = {"symbol": pair, "settle": "USDT", "settleId": "USDT", "type": "swap", "spot": False, "swap": True, "contract": True}
    return spot | kind | {"linear": True, "inverse": False, "contractSize": 1.0, "expiry": None}


def tiers(pair: str, *steps: tuple[float, float, float]) -> list[dict[str, Any]]:
    """Leverage tiers: from a position's size (in USDT) on, the maintenance margin's rate and the highest leverage."""
    found, amount, lower_rate = [], 0.0, 0.0
    for number, (size, rate, leverage) in enumerate(steps):
        amount += size * (rate - lower_rate)
        lower_rate = rate
        upper = steps[number + 1][0] if number + 1 < len(steps) else 1e9
        found.append(
            {
                "tier": float(number + 1),
                "symbol": pair,
                "currency": "USDT",
                "minNotional": size,
                "maxNotional": upper,
                "maintenanceMarginRate": rate,
                "maxLeverage": leverage,
                "info": {"cum": str(amount)},
            }
        )
    return found


def snapshot(folder: Path) -> Path:
    folder.mkdir()
    file = folder / "binance-futures.json"
    steps = ((0.0, 0.01, 25.0), (4000.0, 0.025, 10.0), (50_000.0, 0.05, 5.0))
    markets = {pair: perpetual(pair) for pair in PAIRS}
    levers = {pair: tiers(pair, *steps) for pair in PAIRS}
    file.write_text(json.dumps({"exchange": "binance", "trading_mode": "futures", "markets": markets, "leverage_tiers": levers}))
    return file


def test_leverage_shorts_and_funding_fees(futures: Backtests) -> None:
    file = snapshot(futures.folder / "markets")
    futures.markets = file.parent
    config = call_config(**FUTURES)

    outcome = futures.run("EmaBothWays", config)

    assert_same_numbers(outcome, plain_freqtrade(futures, "EmaBothWays", config, file))
    trades = outcome.stats["trades"]
    assert {trade["is_short"] for trade in trades} == {True, False}
    assert {trade["leverage"] for trade in trades} == {3.0}
    assert any(trade["funding_fees"] for trade in trades)
    assert outcome.result["trading_mode"] == "futures"
    assert outcome.result["synthetic_markets"] is False
    read = outcome.result["manifest"]["candles"]["files"]
    assert {f"futures/BTC_USDT_USDT-{kind}.feather" for kind in ("5m-futures", "1h-mark", "1h-funding_rate")} <= set(read)


def test_tiers_limit_the_leverage_and_positions_are_liquidated(futures: Backtests) -> None:
    file = snapshot(futures.folder / "markets")
    futures.markets = file.parent
    (futures.strategies / "bold.py").write_text(BOLD)
    # Stakes grow out of the first tier and into the second.
    config = call_config(**FUTURES, stake_amount="unlimited", dry_run_wallet=900, max_open_trades=2)

    outcome = futures.run("Bold", config)

    plain = plain_freqtrade(futures, "Bold", config, file)
    assert outcome.error == {}
    assert outcome.stats["trades"] == plain["trades"]
    trades = outcome.stats["trades"]
    assert len({trade["leverage"] for trade in trades}) > 1, "no second tier was met"
    assert "liquidation" in {trade["exit_reason"] for trade in trades}


def test_without_a_snapshot_binances_own_tiers_apply(futures: Backtests) -> None:
    outcome = futures.run("EmaBothWays", call_config(**FUTURES))
    assert outcome.error == {}
    assert outcome.result["synthetic_markets"] is True
    assert outcome.result["total_trades"] > 0


@pytest.mark.parametrize("kind", ["mark", "funding_rate"])
def test_missing_candles_of_the_fees_are_named(futures: Backtests, kind: str) -> None:
    complete, futures.datadir = futures.datadir / "futures", futures.folder / "candles"
    (futures.datadir / "futures").mkdir(parents=True)
    for file in complete.iterdir():
        if file.name != f"ETH_USDT_USDT-1h-{kind}.feather":
            (futures.datadir / "futures" / file.name).symlink_to(file)

    message = futures.run("EmaBothWays", call_config(**FUTURES)).error["message"]

    assert f"ETH/USDT:USDT 1h: no file {futures.datadir}/futures/ETH_USDT_USDT-1h-{kind}.feather" in message
    assert ("futures_funding_rate in the config" in message) == (kind == "funding_rate")
    if kind == "funding_rate":
        assert futures.run("EmaBothWays", call_config(**FUTURES, futures_funding_rate=0.0001)).error == {}


def test_a_spot_pair_on_a_futures_market_is_refused(futures: Backtests) -> None:
    config = call_config(**(FUTURES | {"exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT"]}}))
    error = futures.run("EmaBothWays", config).error
    assert error["type"] == "BadRequest"
    assert (
        "exchange.pair_whitelist: none of BTC/USDT is left: in trading_mode futures of binance pairs are written as BTC/USDT:USDT" in error["message"]
    )
