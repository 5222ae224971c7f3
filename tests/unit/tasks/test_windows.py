"""The windows of a walk-forward test."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.windows import Window, windows
from workers.errors import BadRequest


def test_each_validates_right_after_its_training_and_no_day_twice() -> None:
    assert windows("20260101-20260131", train_days=10, validate_days=5) == [
        Window("20260101-20260111", "20260111-20260116"),
        Window("20260106-20260116", "20260116-20260121"),
        Window("20260111-20260121", "20260121-20260126"),
        Window("20260116-20260126", "20260126-20260131"),
    ]


def test_what_is_left_at_the_end_is_not_used() -> None:
    assert windows("20260101-20260130", train_days=10, validate_days=5, step_days=15) == [
        Window("20260101-20260111", "20260111-20260116"),
    ]


def test_a_leap_day_is_a_day() -> None:
    assert windows("20280226-20280303", train_days=3, validate_days=3)[0] == Window("20280226-20280229", "20280229-20280303")


@pytest.mark.parametrize(
    ("timerange", "days", "says"),
    [
        ("20260101-", {}, "needs both ends"),
        ("20260230-20260301", {}, "needs both ends"),
        ("20260101-20260110", {}, r"its 9 days are fewer than train_days \+ validate_days = 15"),
        ("20260201-20260101", {}, "fewer than"),
        ("20260101-20260301", {"step_days": 0}, "step_days: must be at least 1"),
        ("20260101-20260301", {"train_days": -1}, "train_days: must be at least 1"),
    ],
)
def test_what_makes_no_window_is_told(timerange: str, days: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRequest, match=says):
        windows(timerange, **{"train_days": 10, "validate_days": 5, **days})
