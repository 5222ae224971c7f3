"""Curves and sums over the trades of a backtest. Plain Python: a page has thousands of trades, not millions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

Point = tuple[float, float]


class Month(NamedTuple):
    """What the trades that closed in a month made."""

    profit_abs: float
    ratio: float | None
    """Of the balance at the month's start; None when nothing was left."""
    trades: int


def equity(trades: Iterable[Mapping[str, Any]], starting_balance: float, start: float, end: float) -> list[Point]:
    """The balance after each closed trade: seconds since the epoch, stake currency. Trades that close at once are one point."""
    points: list[Point] = [(start, starting_balance)]
    balance = starting_balance
    for trade in sorted(trades, key=lambda trade: trade["close_timestamp"]):
        balance += trade["profit_abs"]
        moment = trade["close_timestamp"] / 1000
        if points[-1][0] == moment and len(points) > 1:
            points[-1] = (moment, balance)
        else:
            points.append((moment, balance))
    if points[-1][0] < end:
        points.append((end, balance))
    return points


def drawdown(points: Iterable[Point]) -> list[Point]:
    """How far the balance is below its highest so far, as a ratio of that: freqtrade's `max_relative_drawdown` is the deepest."""
    highest = float("-inf")
    found = []
    for moment, balance in points:
        highest = max(highest, balance)
        found.append((moment, (highest - balance) / highest if highest > 0 else 0.0))
    return found


def thinned(points: Sequence[Point], limit: int) -> list[Point]:
    """At most `limit` points, with the first, the last, and the highest and the lowest of each stretch: no peak gets lost."""
    if len(points) <= limit:
        return list(points)
    stretches = max(1, (limit - 2) // 2)
    inner = points[1:-1]
    kept = [points[0]]
    for number in range(stretches):
        stretch = inner[number * len(inner) // stretches : (number + 1) * len(inner) // stretches]
        if stretch:
            low, high = min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])
            kept += [low] if low == high else sorted((low, high))
    return [*kept, points[-1]]


def monthly(trades: Iterable[Mapping[str, Any]], starting_balance: float) -> dict[tuple[int, int], Month]:
    """By year and month of the close in UTC."""
    sums: dict[tuple[int, int], tuple[float, int]] = {}
    for trade in trades:
        closed = datetime.fromtimestamp(trade["close_timestamp"] / 1000, tz=UTC)
        profit, count = sums.get((closed.year, closed.month), (0.0, 0))
        sums[closed.year, closed.month] = (profit + trade["profit_abs"], count + 1)
    found, balance = {}, starting_balance
    for month in sorted(sums):
        profit, count = sums[month]
        found[month] = Month(profit, profit / balance if balance > 0 else None, count)
        balance += profit
    return found
