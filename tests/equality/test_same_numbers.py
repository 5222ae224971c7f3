"""The statistics equal freqtrade's own run on the same candles, markets and config, number by number."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.equality.conftest import PAIRS, STRATEGIES, Backtests, Outcome, call_config, market, plain_freqtrade, write_markets

WHEN_IT_RAN = {"backtest_run_start_ts", "backtest_run_end_ts"}


def assert_same_numbers(outcome: Outcome, plain: dict[str, Any]) -> None:
    """Every field of freqtrade's statistics, every trade, and what the result takes from them."""
    assert outcome.error == {}
    ours = outcome.stats
    assert plain["total_trades"] > 10, "a comparison of nothing proves nothing"
    assert set(ours) == set(plain)
    assert {key: ours[key] for key in ours if key not in WHEN_IT_RAN} == {key: plain[key] for key in plain if key not in WHEN_IT_RAN}
    same = set(outcome.result) & set(plain) - {"backtest_start", "backtest_end", "best_pair", "worst_pair"}
    assert {"profit_total", "sharpe", "sortino", "calmar", "sqn", "max_drawdown_account", "final_balance", "market_change"} <= same
    assert {key: outcome.result[key] for key in same} == {key: plain[key] for key in same}
    rows = [{key: row[key] for key in ("trades", "profit_total_abs", "winrate")} | {"pair": row["key"]} for row in plain["results_per_pair"]]
    assert [{key: row[key] for key in ("trades", "profit_total_abs", "winrate", "pair")} for row in outcome.result["pairs"]] == rows[:-1]


def test_real_binance_candles(backtests: Backtests, real_candles: Path) -> None:
    backtests.datadir = real_candles
    pairs = ["ETH/BTC", "LTC/BTC", "XMR/BTC"]
    markets = [market(pair, price=1e-6, amount=1e-3, smallest_cost=1e-4, fee=0.001) for pair in pairs]
    backtests.markets = write_markets(backtests.folder / "markets", *markets).parent
    config = {
        "exchange": {"name": "binance", "pair_whitelist": pairs},
        "stake_currency": "BTC",
        "stake_amount": "unlimited",
        "dry_run_wallet": 1,
        "max_open_trades": 2,
        "timerange": "20180112-20180129",
    }

    outcome = backtests.run("EmaCross", config)

    assert_same_numbers(outcome, plain_freqtrade(backtests, "EmaCross", config, backtests.markets / "binance-spot.json"))
    assert outcome.result["synthetic_markets"] is False


def test_detail_timeframe(backtests: Backtests) -> None:
    markets = [market(pair, price=0.01, amount=0.001, smallest_cost=5, fee=0.00075) for pair in PAIRS]
    backtests.markets = write_markets(backtests.folder / "markets", *markets).parent
    config = call_config(timeframe_detail="1m", timerange="20260102-20260112", stake_amount="unlimited", tradable_balance_ratio=0.9)

    outcome = backtests.run("EmaCross", config)

    assert_same_numbers(outcome, plain_freqtrade(backtests, "EmaCross", config, backtests.markets / "binance-spot.json"))
    assert outcome.result["timeframe_detail"] == "1m"
    assert outcome.stats["trades"] != backtests.run("EmaCross", config | {"timeframe_detail": "5m", "timeframe": "1h"}).stats["trades"]


def test_informative_pairs_and_overridden_exits(backtests: Backtests) -> None:
    markets = [market(pair, price=0.0001, amount=0.01, smallest_cost=1, fee=0.001) for pair in PAIRS]
    backtests.markets = write_markets(backtests.folder / "markets", *markets).parent
    # BTC/USDT is not traded: the strategy reads it as an informative pair.
    config = call_config(
        exchange={"name": "binance", "pair_whitelist": ["ETH/USDT", "SOL/USDT"]},
        minimal_roi={"0": 0.02, "60": 0.005},
        stoploss=-0.02,
        trailing_stop=True,
        order_types={"entry": "limit", "exit": "limit", "stoploss": "market", "stoploss_on_exchange": False},
        unfilledtimeout={"entry": 10, "exit": 10, "unit": "minutes"},
        timerange="20260102-",
    )

    outcome = backtests.run("BollingerBreakout", config)

    assert_same_numbers(outcome, plain_freqtrade(backtests, "BollingerBreakout", config, backtests.markets / "binance-spot.json"))
    assert "BTC_USDT-1h.feather" in outcome.result["manifest"]["candles"]["files"]


@pytest.mark.parametrize("base", [False, True], ids=["call", "trusted base below the call"])
def test_protections_parameter_file_and_made_up_markets(backtests: Backtests, base: bool) -> None:
    backtests.strategies = backtests.folder / "strategies"
    shutil.copytree(STRATEGIES, backtests.strategies, ignore=shutil.ignore_patterns("__pycache__"))
    parameters = {"strategy_name": "RsiReversion", "params": {"buy": {"buy_rsi": 33}, "sell": {"sell_rsi": 52}, "stoploss": {"stoploss": -0.015}}}
    (backtests.strategies / "rsi_reversion.json").write_text(json.dumps(parameters))
    config = call_config(enable_protections=True, fee=0.002, position_stacking=True, timerange="20260102-20260118", backtest_breakdown=["week"])
    if base:
        backtests.base_config = backtests.folder / "base.json"
        text = json.dumps({"fee": 0.05, "stake_amount": 100, "telegram": {"enabled": True, "token": "T0KEN", "chat_id": "1"}, "max_open_trades": 3})
        backtests.base_config.write_text(f"// trusted\n{text}")
    call = {key: value for key, value in config.items() if not base or key not in {"stake_amount", "max_open_trades"}}
    # What the worker makes up, as a file for freqtrade's own run: eight decimals, no smallest order.
    made_up = [market(pair, price=1e-8, amount=1e-8, smallest_cost=0, fee=0.001) for pair in PAIRS]
    markets = write_markets(backtests.folder / "elsewhere", *made_up)

    outcome = backtests.run("RsiReversion", call)

    assert_same_numbers(outcome, plain_freqtrade(backtests, "RsiReversion", config, markets))
    assert outcome.result["synthetic_markets"] is True
    assert outcome.stats["stoploss"] == -0.015
    assert outcome.stats["locks"], "the protections did nothing"
    assert set(outcome.result["manifest"]["code"]) == {"rsi_reversion.py", "rsi_reversion.json"}
    stored = [path for path in [*outcome.stored.rglob("*"), *outcome.directory.rglob("*")] if path.is_file()]
    assert not any(b"T0KEN" in path.read_bytes() for path in stored), "a secret of the base config reached a file of the job"
