"""What the page of a backtest shows and its result is too small for: trades, candles, parameters, the config that was in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

from freqtrade.exchange import timeframe_to_seconds

from workers.backtesting.bars import bars
from workers.backtesting.summary import row_of
from workers.freqtrade.json_safe import json_safe

MOST_CHARTS = 8
"""Pairs whose candles are drawn: those with the most trades."""
TRADE = (
    *("pair", "open_timestamp", "close_timestamp", "open_rate", "close_rate", "profit_ratio", "profit_abs", "enter_tag", "exit_reason"),
    *("is_short", "leverage"),
)
EXITS = (
    *("minimal_roi", "stoploss", "trailing_stop", "trailing_stop_positive", "trailing_stop_positive_offset", "trailing_only_offset_is_reached"),
    *("use_custom_stoploss", "use_exit_signal", "exit_profit_only", "exit_profit_offset", "ignore_roi_if_entry_signal"),
)


def page_details(strategy: Any, stats: Mapping[str, Any], data: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Gather it once the statistics are made.

    Args:
        strategy: freqtrade's, after the run.
        stats: its statistics, with the trades.
        data: the candles by pair, as freqtrade loaded them.
        config: the effective one, without secrets.
    """
    busiest = [pair for pair, _ in Counter(trade["pair"] for trade in stats["trades"]).most_common() if pair in data]
    drawn = busiest[:MOST_CHARTS]
    first, last = stats["backtest_start_ts"], stats["backtest_end_ts"]
    return {
        "trades": [{key: json_safe(trade.get(key)) for key in TRADE} for trade in stats["trades"]],
        "candles": {pair: bars(data[pair], timeframe_to_seconds(stats["timeframe"]), first, last) for pair in drawn},
        "candles_left_out": len(data) - len(drawn),
        "parameters": {name: json_safe(parameter.value) for name, parameter in strategy.enumerate_parameters()},
        "exits": {key: json_safe(stats.get(key)) for key in EXITS if stats.get(key) is not None},
        "enter_tags": [row_of("enter_tag", row) for row in stats["results_per_enter_tag"] if row["key"] != "TOTAL"],
        "config": dict(config),
    }
