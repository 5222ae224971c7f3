"""Synthetic candles from a seed, in freqtrade's own file layout: the same seed makes the same candles on every machine.

    python -m examples.candles DATADIR --pairs BTC/USDT ETH/USDT --days 60 --timeframes 1m 5m 15m 1h --seed 1
    python -m examples.candles DATADIR --pairs BTC/USDT:USDT --timeframes 5m 1h       # a futures pair: with mark candles and funding rates

Not a model of a market, only input that makes strategies trade: a random walk with calm and wild days and slow waves.
All timeframes of a pair are the same walk: the finest is generated, the others are made from it.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_minutes
from pandas import DataFrame, date_range

DAY_VOLATILITY = 0.035
"""The usual size of a day's move, as a ratio."""
START = datetime(2026, 1, 1, tzinfo=UTC)
DIGITS = 6
"""Prices have this many significant digits."""
FUTURES_TIMEFRAME = "1h"
"""Of mark candles and funding rates, as freqtrade keeps them."""
FUNDING_HOURS = 8


def make_candles(
    datadir: Path,
    pairs: Sequence[str],
    *,
    days: int = 60,
    timeframes: Sequence[str] = ("5m", "1h"),
    seed: int = 1,
    start: datetime = START,
) -> list[Path]:
    """Write candles of each pair and timeframe to a freqtrade data folder.

    Args:
        datadir: e.g. `user_data/data/binance`; made when missing.
        pairs: spot pairs such as BTC/USDT, or futures pairs such as BTC/USDT:USDT.
        days: length from `start` on.
        timeframes: each a multiple of the finest.
        seed: another seed, another walk.
        start: the first candle, UTC.

    Returns:
        The files.
    """
    datadir.mkdir(parents=True, exist_ok=True)
    handler = get_datahandler(datadir, "feather")
    minutes = {timeframe: timeframe_to_minutes(timeframe) for timeframe in timeframes}
    hour = timeframe_to_minutes(FUTURES_TIMEFRAME)
    finest = min(minutes.values())
    files = []
    for pair in pairs:
        base = _walk(pair, days * 24 * 60 // finest, finest, seed, start)
        for timeframe, step in minutes.items():
            if step % finest:
                raise ValueError(f"{timeframe} is no multiple of {finest} minutes, the finest timeframe asked for")
            files.append(
                _store(handler, datadir, pair, timeframe, _resample(base, step // finest), CandleType.FUTURES if ":" in pair else CandleType.SPOT)
            )
        if ":" in pair:
            if hour % finest:
                raise ValueError(f"the finest timeframe of a futures pair must divide {FUTURES_TIMEFRAME}")
            mark = _resample(base, hour // finest).assign(volume=0.0)
            files.append(_store(handler, datadir, pair, FUTURES_TIMEFRAME, mark, CandleType.MARK))
            files.append(_store(handler, datadir, pair, FUTURES_TIMEFRAME, _funding(pair, mark, seed), CandleType.FUNDING_RATE))
    return files


def _store(handler: Any, datadir: Path, pair: str, timeframe: str, candles: DataFrame, candle_type: CandleType) -> Path:
    file: Path = handler._pair_data_filename(datadir, pair, timeframe, candle_type)  # noqa: SLF001 - it names the file
    file.parent.mkdir(parents=True, exist_ok=True)
    handler.ohlcv_store(pair, timeframe, candles, candle_type)
    return file


def _funding(pair: str, mark: DataFrame, seed: int) -> DataFrame:
    """A rate each eight hours, some hundredths of a percent either way, as a ratio of the position."""
    rng = np.random.default_rng([seed, zlib.crc32(pair.encode()), 1])
    due = mark.loc[mark["date"].dt.hour % FUNDING_HOURS == 0, ["date"]].reset_index(drop=True)
    return due.assign(funding_rate=rng.normal(1e-4, 2e-4, len(due)).round(8))


def _walk(pair: str, length: int, minutes: int, seed: int, start: datetime) -> DataFrame:
    # A pair's own stream of numbers, so that its candles don't depend on which other pairs are made.
    rng = np.random.default_rng([seed, zlib.crc32(pair.encode())])
    per_day = 24 * 60 // minutes
    moods = np.exp(
        np.interp(np.arange(length), np.arange(0, length + per_day, per_day), rng.normal(0, 0.4, length // per_day + 1 + (length % per_day > 0)))
    )
    sigma = DAY_VOLATILITY / np.sqrt(per_day)
    waves = 0.1 * sigma * np.sin(2 * np.pi * (np.arange(length) / (per_day * rng.uniform(0.3, 0.8)) + rng.uniform()))
    level = 10 ** rng.uniform(0, 4.5)
    # Each candle is the path of four small steps, so that high, low and close belong together.
    steps = rng.normal(0, sigma / 2, (length, 4)) * moods[:, None] + waves[:, None] / 4
    path = level * np.exp(np.cumsum(steps.ravel()).reshape(length, 4))
    opened = np.concatenate([[level], path[:-1, -1]])
    frame = DataFrame(
        {
            "date": date_range(start, periods=length, freq=timedelta(minutes=minutes)),
            "open": opened,
            "high": np.maximum(opened, path.max(axis=1)),
            "low": np.minimum(opened, path.min(axis=1)),
            "close": path[:, -1],
            "volume": rng.lognormal(3, 0.5, length).round(4) * moods.round(3),
        }
    )
    decimals = max(0, DIGITS - 1 - int(np.floor(np.log10(level))))
    return frame.round(dict.fromkeys(("open", "high", "low", "close"), decimals))


def _resample(base: DataFrame, size: int) -> DataFrame:
    """Join `size` candles into one; the start of the data is the start of a candle of every timeframe up to a day."""
    whole = base.iloc[: len(base) // size * size]
    groups = whole.groupby(np.arange(len(whole)) // size)
    columns = {"date": "first", "open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return groups.agg(columns).reset_index(drop=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.candles", description="Seeded synthetic candles in freqtrade's feather files.")
    parser.add_argument("datadir", type=Path)
    parser.add_argument("--pairs", nargs="+", default=["BTC/USDT", "ETH/USDT", "SOL/USDT"])
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--timeframes", nargs="+", default=["5m", "15m", "1h"])
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for file in make_candles(asked.datadir, asked.pairs, days=asked.days, timeframes=asked.timeframes, seed=asked.seed):
        print(file)


if __name__ == "__main__":
    main()
