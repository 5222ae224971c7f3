"""What the page of a backtest shows and its result is too small for: trades, candles, parameters, the config that was in force."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

import numpy as np
from freqtrade.exchange import timeframe_to_seconds

from workers.backtesting.summary import row_of
from workers.freqtrade.json_safe import json_safe

MOST_CHARTS = 8
"""Pairs whose candles are drawn: those with the most trades."""
MOST_BARS = 1_500
"""Of one chart. Zoomed in or not, no screen shows more at once."""
DIGITS = 7
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


def bars(candles: Any, seconds: int, first: int, last: int) -> dict[str, Any]:
    """One pair's candles, several of them in a bar when there are too many: their first open, highest high, lowest low and last close.

    Args:
        candles: freqtrade's frame.
        seconds: of one candle.
        first: of the backtest, in milliseconds; candles before are the indicators' start-up.
        last: the same of the end.

    Returns:
        `start` and `step` in seconds, `together` (candles in a bar), and a column for each of the four prices: null where there is no candle.
    """
    opened = candles["date"].dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    start, end = first // 1000, last // 1000
    inside = (opened >= start) & (opened <= end)
    opened = opened[inside]
    together = max(1, -(-((end - start) // seconds + 1) // MOST_BARS))
    step = seconds * together
    places = (opened - start) // step
    begins = np.flatnonzero(np.diff(places, prepend=-1))
    count = int(places[-1]) + 1 if len(places) else 0
    prices = {column: candles[column].to_numpy(dtype=float)[inside] for column in ("open", "high", "low", "close")}
    ends = np.append(begins[1:], len(opened)) - 1
    found = {
        "open": prices["open"][begins],
        "high": np.maximum.reduceat(prices["high"], begins) if count else prices["high"],
        "low": np.minimum.reduceat(prices["low"], begins) if count else prices["low"],
        "close": prices["close"][ends] if count else prices["close"],
    }
    return {"start": start, "step": step, "together": together} | {name: _column(values, places[begins], count) for name, values in found.items()}


def _column(values: Any, places: Any, count: int) -> list[float | None]:
    column: list[float | None] = [None] * count
    for place, value in zip(places.tolist(), values.tolist(), strict=True):
        column[place] = float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return column
