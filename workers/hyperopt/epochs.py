"""An epoch as a row, the best ones, and what is told of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.freqtrade.json_safe import json_safe

METRICS = (
    *("total_trades", "wins", "draws", "losses", "winrate", "profit_mean", "profit_median", "profit_total", "profit_total_abs"),
    *("profit_factor", "sharpe", "sortino", "calmar", "sqn", "max_drawdown_account", "max_drawdown_abs", "holding_avg_s"),
)
"""The columns of a row, under freqtrade's names."""
WHEN_IT_RAN = frozenset({"backtest_run_start_ts", "backtest_run_end_ts"})
LISTED = 20
"""Rows in the result; the artifact `epochs.json` has every epoch."""
MAX_LOSS = 100_000
"""What freqtrade gives an epoch with too few trades, and shows as N/A."""


def epoch_row(epoch: Mapping[str, Any]) -> dict[str, Any]:
    """One epoch of freqtrade's. The loss is null where freqtrade gave none, as there were too few trades."""
    metrics = epoch["results_metrics"]
    return {
        "epoch": epoch["current_epoch"],
        "loss": None if epoch["loss"] == MAX_LOSS else json_safe(epoch["loss"]),
        "is_best": bool(epoch["is_best"]),
        "params": json_safe(epoch["params_dict"]),
        **{key: json_safe(metrics.get(key)) for key in METRICS},
    }


def best_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the lowest losses, the best first."""
    return sorted((row for row in rows if row["loss"] is not None), key=lambda row: (row["loss"], row["epoch"]))[:LISTED]


def best_epoch(epoch: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The best epoch, with its parameters by space and every number that freqtrade has of it."""
    if epoch is None:
        return None
    metrics = epoch["results_metrics"].items()
    numbers = {key: json_safe(value) for key, value in metrics if not isinstance(value, Mapping | list) and key not in WHEN_IT_RAN}
    return {
        "epoch": epoch["current_epoch"],
        "loss": json_safe(epoch["loss"]),
        "params": json_safe(epoch["params_details"]),
        "params_not_optimized": json_safe(epoch["params_not_optimized"]),
        "metrics": numbers,
    }


def told_in_short(epoch: Mapping[str, Any] | None) -> str:
    """The best so far, for a line of progress."""
    if epoch is None:
        return "no good epoch yet"
    metrics = epoch["results_metrics"]
    return f"best: loss {epoch['loss']:.5g}, profit {metrics['profit_total']:.2%}, {metrics['total_trades']} trades in epoch {epoch['current_epoch']}"
