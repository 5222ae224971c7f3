"""Results of backtests as the engine hands them on, as large and as nasty as one likes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from workers.artifacts import ArtifactStore
from workers.job import Job

START = 1_767_225_600
"""2026-01-01 in UTC."""
DAY = 86_400


def job_of(folder: Path, task_id: str = "task-1", job_type: str = "backtest.run") -> Job:
    return Job(id=task_id, type=job_type, directory=folder / "jobs" / task_id, artifacts=ArtifactStore(str(folder / "artifacts")))


def trade(place: int, pair: str, **changes: Any) -> dict[str, Any]:
    opened = (START + place * 3_600) * 1000
    profit = 10 * math.sin(place * 1.7) + 0.5
    return {
        "pair": pair,
        "open_timestamp": opened,
        "close_timestamp": opened + 1_800_000,
        "open_rate": 100 + math.sin(place),
        "close_rate": 101 + math.cos(place),
        "profit_ratio": profit / 100,
        "profit_abs": profit,
        "enter_tag": f"tag_{place % 7}",
        "exit_reason": f"reason_{place % 5}",
        "is_short": place % 3 == 0,
        "leverage": 1.0 + place % 2,
    } | changes


def row(key: str, name: str, trades: list[dict[str, Any]]) -> dict[str, Any]:
    profit = sum(item["profit_abs"] for item in trades)
    ratios = {"winrate": 0.5, "profit_mean": 0.01, "profit_total": profit / 1000, "max_drawdown_account": 0.1, "profit_factor": 1.5, "losses": 2}
    return {key: name, "trades": len(trades), "profit_total_abs": profit, "duration_avg": "0:30:00"} | ratios


def bars(count: int) -> dict[str, Any]:
    prices = {
        name: [round(123.456 + math.sin(place / 20 + shift) * 10, 5) for place in range(count)]
        for shift, name in enumerate(("open", "high", "low", "close"))
    }
    return {"start": START, "step": 3_600, "together": 12} | prices


def backtest(
    strategy: str = "EmaCross", *, pairs: int = 3, trades: int = 40, drawn: int = 2, **changes: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A result and its details."""
    names = [f"COIN{place}/USDT" for place in range(pairs)]
    made = [trade(place, names[place % pairs]) for place in range(trades)]
    profit = sum(item["profit_abs"] for item in made)
    numbers = dict.fromkeys(("sharpe", "sortino", "calmar", "profit_factor", "expectancy", "trades_per_day"), 1.25) | dict.fromkeys(
        ("wins", "losses", "draws"), 3
    )
    result = {
        "strategy": strategy,
        "timeframe": "5m",
        "timeframe_detail": "",
        "timerange": "20260101-",
        "backtest_start": "2026-01-01T00:00:00+00:00",
        "backtest_end": "2026-07-31T00:00:00+00:00",
        "backtest_days": 211,
        "stake_currency": "USDT",
        "stake_amount": 100,
        "trading_mode": "spot",
        "total_trades": trades,
        "trade_count_long": trades,
        "trade_count_short": 0,
        "starting_balance": 1000,
        "final_balance": 1000 + profit,
        "profit_total": profit / 1000,
        "profit_total_abs": profit,
        "max_drawdown_account": 0.0432,
        "max_drawdown_abs": 43.2,
        "winrate": 0.55,
        "market_change": -0.12,
        "holding_avg_s": 1_800,
        "synthetic_markets": True,
        "pairs": [row("pair", name, [item for item in made if item["pair"] == name]) for name in names],
        "exit_reasons": [row("exit_reason", f"reason_{place}", made[place::5]) for place in range(5)],
        "config": {"used": ["timeframe"], "ignored": {"telegram": "a backtest sends no messages"}},
        "manifest": {
            "code": {"ema_cross.py": "a" * 64},
            "config": "b" * 64,
            "candles": {"count": pairs, "sha256": "c" * 64},
            "markets": {"sha256": "d" * 64, "synthetic": True, "file": None},
            "versions": {"python": "3.11.0", "freqtrade": "2026.9"},
        },
        "run_seconds": 2.5,
        "cpu_seconds": 2.25,
    }
    details = {
        "trades": made,
        "candles": {name: bars(1_500) for name in names[:drawn]},
        "candles_left_out": pairs - drawn,
        "parameters": {"buy_rsi": 30},
        "exits": {"stoploss": -0.1, "minimal_roi": {"0": 0.02}},
        "enter_tags": [row("enter_tag", f"tag_{place}", made[place::7]) for place in range(7)],
        "config": {"exchange": {"name": "binance", "pair_whitelist": names}, "stake_amount": 100},
    }
    return result | numbers | changes, details


def training(*, pairs: int = 2, windows: int = 6) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of a FreqAI training."""
    result, details = backtest()
    rows = [
        {
            "pair": f"COIN{pair}/USDT",
            "window": number + 1,
            "windows": windows,
            "train_start": f"2026-01-{number + 1:02}T00:00:00+00:00",
            "train_stop": f"2026-01-{number + 8:02}T00:00:00+00:00",
            "predict_stop": f"2026-01-{number + 10:02}T00:00:00+00:00",
            "train_rows": 1_000 + number,
            "test_rows": 100,
            "features": 40,
            "test": {"&-s_close": {"rmse": 0.01 + 0.001 * number + 0.002 * pair, "mae": 0.008}},
            "fit_seconds": 0.5,
        }
        for pair in range(pairs)
        for number in range(windows)
    ]
    features = [{"feature": f"%-rsi_{place}", "importance": 20 - place} for place in range(20)]
    kept = {
        key: result[key] for key in ("strategy", "timeframe", "timerange", "synthetic_markets", "config", "manifest", "run_seconds", "cpu_seconds")
    }
    return kept | {
        "model": "LightGBMRegressor",
        "identifier": "EmaCross",
        "features": 40,
        "labels": ["&-s_close"],
        "windows": rows,
        "windows_trained": len(rows),
        "windows_kept": 0,
        "fit_seconds": 0.5 * len(rows),
        "model_artifact": {"name": "EmaCross.freqai.zip", "uri": "file:///x", "size": 12_345, "sha256": "e" * 64},
    }, {"windows": [row | {"importances": features} for row in rows], "config": details["config"]}


def hyperopt(*, epochs: int = 60) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same of a hyperopt."""
    result, details = backtest()
    rows: list[dict[str, Any]] = [
        {
            "epoch": place + 1,
            "loss": None if place % 9 == 0 else 50_000.0 if place % 11 == 0 else -math.log(place + 1) + 3 * math.sin(place * 7.3),
            "is_best": False,
            "params": {"buy_rsi": place, "roi_p1": place / 1000},
            "profit_total": math.sin(place) / 10,
            "profit_total_abs": math.sin(place) * 100,
            "max_drawdown_account": abs(math.cos(place)) / 10,
            "total_trades": 30 + place,
            "winrate": 0.5,
            "sharpe": 1.0,
        }
        for place in range(epochs)
    ]
    ranked = sorted((item for item in rows if item["loss"] is not None), key=lambda item: item["loss"])
    best = ranked[0] if ranked else None
    kept = {
        key: result[key] for key in ("strategy", "timeframe", "timerange", "synthetic_markets", "config", "manifest", "run_seconds", "cpu_seconds")
    }
    return kept | {
        "hyperopt_loss": "SharpeHyperOptLoss",
        "hyperopt_random_state": 42,
        "spaces": ["buy", "roi"],
        "epochs": epochs,
        "epochs_planned": 100,
        "best": best
        and {
            "epoch": best["epoch"],
            "loss": best["loss"],
            "params": {"buy": {"buy_rsi": 30}, "roi": {"0": 0.05}},
            "params_not_optimized": {"sell": {"sell_rsi": 70}},
            "metrics": {"stake_currency": "USDT"}
            | {key: best[key] for key in ("profit_total", "profit_total_abs", "max_drawdown_account", "total_trades", "winrate", "sharpe")},
        },
        "no_good_result": None if best else "no epoch had a loss",
        "best_epochs": ranked[:20],
    }, {"epochs": rows, "config": details["config"]}
