"""The result of a backtest: freqtrade's statistics as plain JSON, without the trades, which are in the artifact."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from workers.freqtrade.json_safe import json_safe

NUMBERS = (
    *("total_trades", "trade_count_long", "trade_count_short", "wins", "draws", "losses", "winrate"),
    *("profit_mean", "profit_median", "profit_total", "profit_total_abs", "profit_factor", "expectancy", "expectancy_ratio"),
    *("sharpe", "sortino", "calmar", "sqn", "cagr", "max_drawdown_account", "max_relative_drawdown", "max_drawdown_abs"),
    *("starting_balance", "final_balance", "avg_stake_amount", "total_volume", "market_change", "trades_per_day"),
    *("holding_avg_s", "max_consecutive_wins", "max_consecutive_losses", "rejected_signals", "timedout_entry_orders", "timedout_exit_orders"),
    *("max_open_trades", "backtest_days"),
)
TEXTS = ("timeframe", "timeframe_detail", "timerange", "stake_currency", "stake_amount", "trading_mode", "enable_protections")
ROW = (
    *("trades", "wins", "draws", "losses", "winrate", "profit_mean", "profit_total", "profit_total_abs"),
    *("duration_avg", "max_drawdown_account", "profit_factor"),
)
"""The columns of a row by pair or by exit reason."""


def summarise(name: str, stats: Mapping[str, Any]) -> dict[str, Any]:
    """Take a strategy's statistics as freqtrade makes them.

    Ratios are ratios (0.01 is one percent) and amounts are in the stake currency, under freqtrade's own names.
    NaN and infinity become null, times ISO 8601 in UTC.
    """
    return {
        "strategy": name,
        **{key: json_safe(stats.get(key)) for key in (*NUMBERS, *TEXTS)},
        "backtest_start": _moment(stats["backtest_start_ts"]),
        "backtest_end": _moment(stats["backtest_end_ts"]),
        "best_pair": row_of("pair", stats.get("best_pair")),
        "worst_pair": row_of("pair", stats.get("worst_pair")),
        "pairs": [row_of("pair", row) for row in stats["results_per_pair"] if row["key"] != "TOTAL"],
        "exit_reasons": [row_of("exit_reason", row) for row in stats["exit_reason_summary"] if row["key"] != "TOTAL"],
    }


def row_of(label: str, row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if row is None else {label: json_safe(row["key"]), **{key: json_safe(row.get(key)) for key in ROW}}


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).isoformat()
