"""The exchange stand-in agrees with itself, and answers as Binance's API does."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from examples.exchange_stand_in.answers import LISTED_MS, Answers, Gap, Refused

NOW = 1_780_000_123_456
HOUR_MS, MINUTES_5_MS = 3_600_000, 300_000


def klines(answers: Answers, path: str = "/api/v3/klines", **query: Any) -> list[list[Any]]:
    asked = {"symbol": "BTCUSDT", "interval": "5m"} | query
    rows: list[list[Any]] = answers.answer(path, {key: str(value) for key, value in asked.items()}, NOW)
    return rows


@pytest.mark.parametrize("path", ["/api/v3/klines", "/fapi/v1/klines", "/fapi/v1/markPriceKlines"])
def test_candles_of_all_timeframes_agree(path: str) -> None:
    answers = Answers()
    start = NOW // HOUR_MS * HOUR_MS - 5 * HOUR_MS
    for hour in klines(answers, path, interval="1h", startTime=start, limit=4):
        small = klines(answers, path, startTime=hour[0], limit=12)
        assert [row[0] for row in small] == list(range(hour[0], hour[0] + HOUR_MS, MINUTES_5_MS))
        assert hour[1] == small[0][1]
        assert float(hour[2]) == max(float(row[2]) for row in small)
        assert float(hour[3]) == min(float(row[3]) for row in small)
        assert hour[4] == small[-1][4]


def test_candles_are_the_same_later_and_elsewhere() -> None:
    start = NOW - 10 * HOUR_MS
    assert klines(Answers(), startTime=start, limit=3) == klines(Answers(), startTime=start, limit=3)
    assert klines(Answers(), startTime=start, limit=3) != klines(Answers(seed=2), startTime=start, limit=3)


def test_last_candle_ticker_and_book_show_one_price() -> None:
    answers = Answers()
    for root in ("/api/v3", "/fapi/v1"):
        close = float(klines(answers, f"{root}/klines", limit=1)[-1][4])
        asked = {"symbol": "BTCUSDT", "limit": "5"}
        assert float(answers.answer(f"{root}/ticker/price", asked, NOW)["price"]) == close
        assert float(answers.answer(f"{root}/ticker/24hr", asked, NOW)["lastPrice"]) == close
        book = answers.answer(f"{root}/depth", asked, NOW)
        assert float(book["bids"][0][0]) < close < float(book["asks"][0][0])
        assert len(book["bids"]) == 5


def test_paging() -> None:
    answers = Answers()
    assert len(klines(answers)) == 500, "Binance's default"
    assert len(klines(answers, limit=5000)) == 1000
    assert klines(answers, limit=2)[-1][0] == NOW // MINUTES_5_MS * MINUTES_5_MS, "without a start: the newest"
    assert klines(answers, startTime=0, limit=1)[0][0] == LISTED_MS, "the first there is"
    start = LISTED_MS + 1
    assert [row[0] - LISTED_MS for row in klines(answers, startTime=start, endTime=start + 2 * MINUTES_5_MS)] == [MINUTES_5_MS, 2 * MINUTES_5_MS]
    assert klines(answers, startTime=NOW + HOUR_MS) == []


def test_a_gap_has_no_candles() -> None:
    answers = Answers()
    answers.gaps.append(Gap("BTCUSDT", LISTED_MS + HOUR_MS, LISTED_MS + 2 * HOUR_MS))
    hours = {(row[0] - LISTED_MS) // HOUR_MS for row in klines(answers, startTime=LISTED_MS, limit=36)}
    assert hours == {0, 2}
    assert len(klines(answers, symbol="ETHUSDT", startTime=LISTED_MS, limit=36)) == 36


def test_funding_rates_lie_eight_hours_apart_and_change_sign() -> None:
    rates = Answers().answer("/fapi/v1/fundingRate", {"symbol": "BTCUSDT", "startTime": str(LISTED_MS), "limit": "60"}, NOW)
    assert {later["fundingTime"] - earlier["fundingTime"] for earlier, later in itertools.pairwise(rates)} == {8 * HOUR_MS}
    assert min(float(rate["fundingRate"]) for rate in rates) < 0 < max(float(rate["fundingRate"]) for rate in rates)


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("/api/v3/klines", {"symbol": "DOGEUSDT", "interval": "5m"}, -1121),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1s"}, -1120),
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "5m", "limit": "all"}, -1100),
        ("/api/v3/account", {}, -1000),
    ],
)
def test_errors_are_binances(path: str, query: dict[str, str], code: int) -> None:
    with pytest.raises(Refused) as refused:
        Answers().answer(path, query, NOW)
    assert refused.value.code == code
