"""`wait_until` gives what the predicate gave, and says what was missing."""

from __future__ import annotations

import pytest

from tests.waiting import async_wait_until, wait_until


def test_it_gives_the_first_true_value() -> None:
    values = iter([0, None, "", "there"])
    assert wait_until(lambda: next(values), timeout=5) == "there"


def test_it_says_what_was_waited_for() -> None:
    with pytest.raises(AssertionError, match=r"not so after 0\.05 s: the bridge answers \(last value: 0\)"):
        wait_until(lambda: 0, timeout=0.05, message="the bridge answers")


async def test_the_same_in_an_event_loop() -> None:
    values = iter([0, "there"])
    assert await async_wait_until(lambda: next(values), timeout=5) == "there"
    with pytest.raises(AssertionError, match="called late"):
        await async_wait_until(lambda: 0, timeout=0.05, message=lambda: "called late")
