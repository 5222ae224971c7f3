"""Candles for a chart: no more of them than a screen has columns, and none of their extremes lost."""

from __future__ import annotations

from typing import Any

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

import numpy as np

MOST_BARS = 1_500
"""Of one chart. Zoomed in or not, no screen shows more at once."""
DIGITS = 7


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
