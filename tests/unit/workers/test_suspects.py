"""Who is a suspect, and that it begins when nobody else is present."""

from __future__ import annotations

import pytest

from workers.suspects import Room, is_suspect


@pytest.mark.parametrize(
    ("crashes", "delivery", "most", "suspect"),
    [(0, 1, 3, False), (0, 3, 3, False), (1, 2, 3, False), (1, 2, 2, True), (1, 3, 3, True), (2, 3, 3, True), (2, 3, 9, True), (0, 1, 1, False)],
)
def test_two_deaths_or_one_before_the_last_delivery(crashes: int, delivery: int, most: int, *, suspect: bool) -> None:
    assert is_suspect(crashes, delivery, most) is suspect


def test_it_runs_when_nobody_else_is_present() -> None:
    room = Room()
    room.enter()
    assert [room.take(), room.has_suspect, room.wanted] == [True, True, False]
    room.release()
    assert not room.has_suspect


def test_while_others_are_present_it_is_handed_back_and_wanted() -> None:
    room = Room()
    room.enter()
    room.enter()
    assert [room.take(), room.has_suspect, room.wanted] == [False, False, True]
    room.leave()
    assert room.take()


def test_a_read_of_the_streams_is_present_too() -> None:
    room = Room()
    room.enter()
    with room.occupied():
        assert not room.take()
    assert room.take()
