"""Candles are put together without losing where the price has been."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from workers.backtesting.bars import MOST_BARS, bars

START = 1_767_225_600
MINUTES = 60


def frame(count: int, *, missing: range = range(0)) -> pd.DataFrame:
    rows = [
        (START + place * 5 * MINUTES, *(100 + math.sin(place / 50 + shift) * 10 for shift in (0, 0, 0, 1)))
        for place in range(count)
        if place not in missing
    ]
    candles = pd.DataFrame(rows, columns=["date", "open", "high", "low", "close"])
    candles["high"] += 1
    candles["low"] -= 1
    candles["date"] = pd.to_datetime(candles["date"], unit="s", utc=True)
    return candles


def test_few_candles_stay_as_they_are() -> None:
    candles = frame(300)
    made = bars(candles, 5 * MINUTES, START * 1000, (START + 299 * 5 * MINUTES) * 1000)
    assert (START, 300, 1) == (made["start"], made["step"], made["together"])
    assert made["close"] == pytest.approx(list(candles["close"]))


@pytest.mark.parametrize("count", [1_501, 17_280, 100_000])
def test_many_are_put_together_and_keep_their_extremes(count: int) -> None:
    candles = frame(count)
    candles.loc[count // 3, "high"], candles.loc[count // 2, "low"] = 900.0, 1.0
    made = bars(candles, 5 * MINUTES, START * 1000, (START + (count - 1) * 5 * MINUTES) * 1000)
    together = made["together"]
    assert len(made["open"]) <= MOST_BARS
    assert (900.0, 1.0) == (max(made["high"]), min(made["low"]))
    first = candles.iloc[:together]
    assert (first["open"].iloc[0], first["high"].max(), first["low"].min(), first["close"].iloc[-1]) == pytest.approx(
        tuple(made[name][0] for name in ("open", "high", "low", "close"))
    )
    assert made["close"][-1] == pytest.approx(candles["close"].iloc[-1], rel=1e-6)


def test_a_gap_stays_a_gap_and_the_start_up_is_left_out() -> None:
    made = bars(frame(100, missing=range(40, 50)), 5 * MINUTES, (START + 10 * 5 * MINUTES) * 1000, (START + 99 * 5 * MINUTES) * 1000)
    assert len(made["open"]) == 90
    assert [place for place, value in enumerate(made["close"]) if value is None] == list(range(30, 40))


def test_a_pair_without_candles_in_the_range_has_no_bar() -> None:
    made = bars(frame(10), 5 * MINUTES, (START + 10**6) * 1000, (START + 2 * 10**6) * 1000)
    assert made["open"] == made["low"] == []
