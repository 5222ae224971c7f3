"""What a page adds up and leaves out of the trades of a backtest."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from workers.reports import curves

DAY = 86_400


def trade(closed: datetime, profit: float) -> dict[str, float]:
    return {"close_timestamp": closed.timestamp() * 1000, "profit_abs": profit}


def test_the_balance_steps_at_each_close_and_lasts_to_the_end() -> None:
    trades = [trade(datetime(1970, 1, 3, tzinfo=UTC), 5), trade(datetime(1970, 1, 2, tzinfo=UTC), -2), trade(datetime(1970, 1, 3, tzinfo=UTC), 1)]
    assert [(0, 100), (DAY, 98), (2 * DAY, 104), (9 * DAY, 104)] == curves.equity(trades, 100, 0, 9 * DAY)


def test_no_trade_is_a_flat_line() -> None:
    assert [(0, 100), (9, 100)] == curves.equity([], 100, 0, 9)


def test_drawdown_is_of_the_highest_so_far() -> None:
    assert [0, 0, 0.25, 0.5, 0] == [ratio for _, ratio in curves.drawdown(enumerate([100, 200, 150, 100, 300]))]


def test_an_account_that_lost_everything_divides_by_nothing() -> None:
    assert [(0, 0.0)] == curves.drawdown([(0, 0)])


@pytest.mark.parametrize("limit", [10, 100, 999])
def test_thinning_keeps_ends_and_extremes(limit: int) -> None:
    points = [(float(place), math.sin(place / 40) + (7.0 if place == 4_321 else -9.0 if place == 77 else 0.0)) for place in range(10_000)]
    thin = curves.thinned(points, limit)
    assert len(thin) <= limit
    assert thin == sorted(thin)
    assert set(thin) <= set(points)
    assert (points[0], points[-1]) == (thin[0], thin[-1])
    assert points[4_321] in thin
    assert points[77] in thin


def test_few_points_stay_as_they_are() -> None:
    assert [(0, 1), (1, 2)] == curves.thinned([(0, 1), (1, 2)], 2)


def test_months_add_up_to_the_whole_profit() -> None:
    trades = [
        trade(datetime(2025, 11 + month, 28, tzinfo=UTC) if month < 2 else datetime(2026, 1, 1, tzinfo=UTC), 10.0 + month) for month in (0, 1, 2, 2)
    ]
    months = curves.monthly(trades, 100)
    assert [(2025, 11), (2025, 12), (2026, 1)] == list(months)
    assert sum(month.profit_abs for month in months.values()) == pytest.approx(sum(item["profit_abs"] for item in trades))
    assert months[2025, 12].ratio == pytest.approx(11 / 110)
    assert months[2026, 1].trades == 2
