"""Numbers as people read them."""

from __future__ import annotations

from typing import Any

import pytest

from workers.reports import formats


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (formats.number(1234.567), "1,234.57"),
        (formats.number(-0.001, signed=True), "0.00"),
        (formats.number(float("nan")), "–"),
        (formats.number(None), "–"),
        (formats.percent(0.0967, signed=True), "+9.67 %"),
        (formats.percent(-0.5, 0), "−50 %"),
        (formats.money(96.694, "USDT", signed=True), "+96.69 USDT"),
        (formats.money(0.000123456, "BTC"), "0.0001235 BTC"),
        (formats.money(0), "0.00"),
        (formats.duration(7_080), "1 h 58 min"),
        (formats.duration(2.31), "2.3 s"),
        (formats.duration(200_000), "2 d 7 h"),
        (formats.moment("2026-01-05T00:00:00+00:00"), "2026-01-05 00:00"),
        (formats.moment(0), "1970-01-01 00:00"),
        (formats.moment("soon"), "–"),
    ],
)
def test_it_reads_well(shown: str, expected: str) -> None:
    assert shown == expected


@pytest.mark.parametrize(("value", "tone"), [(0.1, "gain"), (-0.1, "loss"), (0, ""), (None, ""), (True, "")])
def test_gain_and_loss_are_told_apart(value: Any, tone: str) -> None:
    assert formats.tone(value) == tone
