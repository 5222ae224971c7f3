"""The price of each coin as a function of time, so that candles, tickers and order books agree, today and tomorrow, on every machine."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

Array = Any
"""Of numpy floats or integers."""

STEPS_MS = {
    "1s": 1_000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": 3_600_000,
    "2h": 7_200_000,
    "4h": 14_400_000,
    "6h": 21_600_000,
    "8h": 28_800_000,
    "12h": 43_200_000,
    "1d": 86_400_000,
    "3d": 259_200_000,
    "1w": 604_800_000,
}
"""Binance's intervals; months are left out, they have no fixed length."""
WEEK_OFFSET_MS = 345_600_000
"""1970-01-01 was a Thursday; Binance's weeks begin on Monday."""
FUNDING_MS = 28_800_000
GRID_MS = 15_000
"""The price is looked at this often for a candle's high and low: the candles of all timeframes then agree."""
WAVES_S = (83, 311, 947, 3_407, 11_003, 37_003, 101_009, 401_017, 1_503_001)
"""Periods of the sines that a price is made of: primes, so that they hardly repeat."""
SPOT, FUTURES, MARK = "spot", "futures", "mark"


class Walk:
    """The prices of one coin on the three markets."""

    def __init__(self, coin: str, level: float, decimals: int, seed: int) -> None:
        rng = np.random.default_rng([seed, zlib.crc32(coin.encode())])
        self.decimals = decimals
        self._seed = zlib.crc32(f"{coin} {seed}".encode())
        self._level = level
        self._phases = rng.uniform(0, 2 * np.pi, len(WAVES_S))
        self._sizes = 0.0006 * np.sqrt(np.array(WAVES_S) / 83) * rng.uniform(0.6, 1.4, len(WAVES_S))

    def prices(self, at_ms: Array, kind: str) -> Array:
        """The price at each time."""
        seconds = np.asarray(at_ms, dtype=np.float64) / 1000
        moved = np.zeros_like(seconds)
        for size, phase, period in zip(self._sizes, self._phases, WAVES_S, strict=True):
            moved += size * np.sin(2 * np.pi * seconds / period + phase)
        if kind != SPOT:  # the future is now dearer, now cheaper than the coin
            moved += 0.0008 * np.sin(2 * np.pi * seconds / 20_011 + self._phases[0])
        if kind == FUTURES:  # around its mark price
            moved += 0.0002 * np.sin(2 * np.pi * seconds / 619 + self._phases[1])
        return np.round(self._level * np.exp(moved), self.decimals)

    def price(self, at_ms: int, kind: str) -> float:
        """The price at one time."""
        return float(self.prices(np.array([at_ms]), kind)[0])

    def candles(self, opened: Array, step_ms: int, now_ms: int, kind: str) -> Iterator[tuple[int, float, float, float, float, float]]:
        """Time, open, high, low, close, volume of each candle that begins at `opened`; one that isn't over yet ends now."""
        grid = min(GRID_MS, step_ms)
        times = np.minimum(opened[:, None] + np.arange(0, step_ms + 1, grid)[None, :], now_ms)
        path = self.prices(times, kind)
        ended = (times[:, -1] - opened) / 1000
        for index, start in enumerate(opened):
            row = path[index]
            volume = round(float(ended[index]) * self._busy(int(start)), 3)
            yield int(start), float(row[0]), float(row.max()), float(row.min()), float(row[-1]), volume

    def funding_rate(self, at_ms: int) -> float:
        """The rate paid at a time; below zero, shorts pay."""
        slow = float(np.sin(2 * np.pi * at_ms / (5 * 86_400_000) + self._phases[2]))
        return round(0.0001 + 0.0004 * slow, 8)

    def _busy(self, at_ms: int) -> float:
        return 0.5 + zlib.crc32(f"{self._seed} {at_ms}".encode()) / 2**32


def opening_times(step_ms: int, first_ms: int, last_ms: int, limit: int, *, from_start: bool) -> Array:
    """When the candles of a range begin: the first `limit` of them, or the last."""
    offset = WEEK_OFFSET_MS if step_ms == STEPS_MS["1w"] else 0
    first = -(-(first_ms - offset) // step_ms) * step_ms + offset
    last = (last_ms - offset) // step_ms * step_ms + offset
    if last < first:
        return np.array([], dtype=np.int64)
    if from_start:
        last = min(last, first + (limit - 1) * step_ms)
    else:
        first = max(first, last - (limit - 1) * step_ms)
    return np.arange(first, last + 1, step_ms, dtype=np.int64)
