"""Ids of entries and the time that they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from streams.bus.entry_ids import just_before, last_until, order_of, time_of

MOMENT = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def test_an_id_holds_its_time() -> None:
    assert time_of("1767268800250-3") == MOMENT


def test_an_id_that_somebody_chose_has_a_time_too() -> None:
    assert time_of("18446744073709551615-0").year == 9999


def test_a_moment_is_the_ids_of_its_millisecond() -> None:
    assert order_of(just_before(MOMENT)) < order_of("1767268800250-0") <= order_of(last_until(MOMENT)) < order_of("1767268800251-0")
    assert just_before(MOMENT.replace(tzinfo=None)) == just_before(MOMENT)


def test_the_beginning_of_time_is_an_id() -> None:
    assert just_before(datetime(1969, 12, 31, tzinfo=UTC) - timedelta(days=1)).startswith("0-")


@pytest.mark.parametrize(("earlier", "later"), [("9-0", "10-0"), ("1-9", "1-10"), ("1-18446744073709551614", "1")])
def test_ids_are_ordered_as_numbers(earlier: str, later: str) -> None:
    assert order_of(earlier) < order_of(later)
