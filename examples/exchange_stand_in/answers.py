"""What the stand-in answers to each public request of Binance's REST API, spot and USDT-margined futures. Pure: the time is an argument."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from examples.exchange_stand_in.listings import LISTINGS, PERPETUAL_DELIVERY_MS, Listing
from examples.exchange_stand_in.prices import FUNDING_MS, FUTURES, MARK, SPOT, STEPS_MS, Walk, opening_times

LISTED_MS = 1_704_067_200_000
"""2024-01-01: no candle is older."""
DAY_MS = 86_400_000
KLINES = 500
MOST_KLINES = {SPOT: 1_000, FUTURES: 1_500, MARK: 1_500}
Query = Mapping[str, str]


class Refused(Exception):
    """An error of Binance's: its code and message, and the HTTP status."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


@dataclass(frozen=True, slots=True)
class Gap:
    """Candles that the exchange doesn't have: those of a symbol that begin in `[start_ms, end_ms)`."""

    symbol: str
    start_ms: int
    end_ms: int


class Answers:
    """Answers requests, by their path."""

    def __init__(self, seed: int = 1) -> None:
        self.gaps: list[Gap] = []
        self._walks = {symbol: Walk(item.coin, item.level, item.decimals, seed) for symbol, item in LISTINGS.items()}
        self._routes: dict[str, Callable[[Query, int], Any]] = {
            "/dapi/v1/exchangeInfo": self._no_coin_margined,  # ccxt asks for these too
            "/fapi/v1/markPriceKlines": lambda query, now: self._klines(query, now, MARK),
            "/fapi/v1/premiumIndex": lambda query, now: _one_or_all(query, lambda item: self._premium_index(item, now)),
            "/fapi/v1/fundingRate": self._funding_rates,
        }
        for root, kind in (("/api/v3", SPOT), ("/fapi/v1", FUTURES)):
            self._routes |= {f"{root}{path}": answer for path, answer in self._of_market(kind).items()}

    def answer(self, path: str, query: Query, now_ms: int) -> Any:
        """The JSON value for a GET.

        Raises:
            Refused: as Binance would.
        """
        route = self._routes.get(path)
        if route is None:
            raise Refused(-1000, f"the exchange stand-in has no {path}", 404)
        return route(query, now_ms)

    def _of_market(self, kind: str) -> dict[str, Callable[[Query, int], Any]]:
        return {
            "/ping": lambda _query, _now: {},
            "/time": lambda _query, now: {"serverTime": now},
            "/exchangeInfo": lambda query, now: self._exchange_info(query, now, kind),
            "/klines": lambda query, now: self._klines(query, now, kind),
            "/depth": lambda query, now: self._depth(query, now, kind),
            "/ticker/24hr": lambda query, now: _one_or_all(query, lambda item: self._day(item, now, kind)),
            "/ticker/price": lambda query, now: _one_or_all(query, lambda item: self._last(item, now, kind)),
            "/ticker/bookTicker": lambda query, now: _one_or_all(query, lambda item: self._best(item, now, kind)),
        }

    def _exchange_info(self, query: Query, now: int, kind: str) -> dict[str, Any]:
        symbols = [item.spot() if kind == SPOT else item.perpetual() for item in _asked(query)]
        return {"timezone": "UTC", "serverTime": now, "rateLimits": [], "exchangeFilters": [], "symbols": symbols}

    @staticmethod
    def _no_coin_margined(_query: Query, now: int) -> dict[str, Any]:
        return {"timezone": "UTC", "serverTime": now, "rateLimits": [], "exchangeFilters": [], "symbols": []}

    def _klines(self, query: Query, now: int, kind: str) -> list[list[Any]]:
        item, interval = _listing(query.get("symbol", "")), query.get("interval", "")
        if interval not in STEPS_MS or (interval == "1s" and kind != SPOT):
            raise Refused(-1120, "Invalid interval.")
        step = STEPS_MS[interval]
        asked_from, limit = _number(query, "startTime"), min(_number(query, "limit") or KLINES, MOST_KLINES[kind])
        end = _number(query, "endTime")
        first, last = max(asked_from or 0, LISTED_MS), now if end is None else min(end, now)
        times = opening_times(step, first, last, limit, from_start=asked_from is not None)
        rows = []
        for opened, *prices, volume in self._walks[item.symbol].candles(times, step, now, kind):
            if any(gap.symbol == item.symbol and gap.start_ms <= opened < gap.end_ms for gap in self.gaps):
                continue
            traded = 0.0 if kind == MARK else volume
            money = [f"{traded * prices[-1]:.4f}", max(1, round(volume)), f"{traded / 2:.3f}", f"{traded * prices[-1] / 2:.4f}", "0"]
            rows.append([opened, *(_text(price, item) for price in prices), f"{traded:.3f}", opened + step - 1, *money])
        return rows

    def _depth(self, query: Query, now: int, kind: str) -> dict[str, Any]:
        item = _listing(query.get("symbol", ""))
        price, tick, levels = self._walks[item.symbol].price(now, kind), float(item.tick), _number(query, "limit") or 100
        bids = [[_text(price - tick * level, item), "200.0"] for level in range(1, levels + 1)]
        asks = [[_text(price + tick * level, item), "200.0"] for level in range(1, levels + 1)]
        return {"lastUpdateId": now, "E": now, "T": now, "bids": bids, "asks": asks}

    def _day(self, item: Listing, now: int, kind: str) -> dict[str, Any]:
        walk = self._walks[item.symbol]
        times = opening_times(STEPS_MS["5m"], now - DAY_MS, now, DAY_MS // STEPS_MS["5m"], from_start=False)
        rows = list(walk.candles(times, STEPS_MS["5m"], now, kind))
        last, opened, volume = walk.price(now, kind), walk.price(now - DAY_MS, kind), sum(row[5] for row in rows)
        best = self._best(item, now, kind) if kind == SPOT else {}  # a future's ticker has no book
        return best | {
            "symbol": item.symbol,
            "priceChange": _text(last - opened, item),
            "priceChangePercent": f"{(last - opened) / opened * 100:.3f}",
            "weightedAvgPrice": _text((last + opened) / 2, item),
            "lastPrice": _text(last, item),
            "lastQty": "1.0",
            "openPrice": _text(opened, item),
            "highPrice": _text(max(row[2] for row in rows), item),
            "lowPrice": _text(min(row[3] for row in rows), item),
            "volume": f"{volume:.3f}",
            "quoteVolume": f"{volume * last:.3f}",
            "openTime": now - DAY_MS,
            "closeTime": now,
            "firstId": 1,
            "lastId": 1000,
            "count": 1000,
        }

    def _last(self, item: Listing, now: int, kind: str) -> dict[str, Any]:
        return {"symbol": item.symbol, "price": _text(self._walks[item.symbol].price(now, kind), item)} | _time(now, kind)

    def _best(self, item: Listing, now: int, kind: str) -> dict[str, Any]:
        price, tick = self._walks[item.symbol].price(now, kind), float(item.tick)
        bid, ask = _text(price - tick, item), _text(price + tick, item)
        return {"symbol": item.symbol, "bidPrice": bid, "bidQty": "200.0", "askPrice": ask, "askQty": "200.0"} | _time(now, kind)

    def _premium_index(self, item: Listing, now: int) -> dict[str, Any]:
        walk = self._walks[item.symbol]
        following = (now // FUNDING_MS + 1) * FUNDING_MS
        return {
            "symbol": item.symbol,
            "markPrice": _text(walk.price(now, MARK), item),
            "indexPrice": _text(walk.price(now, SPOT), item),
            "lastFundingRate": f"{walk.funding_rate(following):.8f}",
            "interestRate": "0.00010000",
            "nextFundingTime": following if item.trading else PERPETUAL_DELIVERY_MS,
            "time": now,
        }

    def _funding_rates(self, query: Query, now: int) -> list[dict[str, Any]]:
        item, asked_from, end = _listing(query.get("symbol", "")), _number(query, "startTime"), _number(query, "endTime")
        limit = min(_number(query, "limit") or 100, 1_000)
        times = opening_times(FUNDING_MS, max(asked_from or 0, LISTED_MS), min(end or now, now), limit, from_start=asked_from is not None)
        walk = self._walks[item.symbol]
        return [
            {
                "symbol": item.symbol,
                "fundingTime": int(at),
                "fundingRate": f"{walk.funding_rate(int(at)):.8f}",
                "markPrice": _text(walk.price(int(at), MARK), item),
            }
            for at in times
        ]


def _asked(query: Query) -> list[Listing]:
    symbols = json.loads(query["symbols"]) if "symbols" in query else [query["symbol"]] if "symbol" in query else list(LISTINGS)
    return [_listing(symbol) for symbol in symbols]


def _one_or_all(query: Query, describe: Callable[[Listing], dict[str, Any]]) -> Any:
    described = [describe(item) for item in _asked(query)]
    return described[0] if "symbol" in query else described


def _time(now: int, kind: str) -> dict[str, int]:
    """ccxt tells a future's ticker by it."""
    return {} if kind == SPOT else {"time": now}


def _listing(symbol: str) -> Listing:
    try:
        return LISTINGS[symbol]
    except KeyError:
        raise Refused(-1121, "Invalid symbol.") from None


def _number(query: Query, name: str) -> int | None:
    try:
        return int(query[name]) if name in query else None
    except ValueError:
        raise Refused(-1100, f"Illegal characters found in parameter '{name}'.") from None


def _text(price: float, item: Listing) -> str:
    return f"{price:.{item.decimals}f}"
