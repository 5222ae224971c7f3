"""Who is a suspect, and that it begins when nobody else is present."""

from __future__ import annotations

import asyncio

import pytest

from workers.suspects import Room, is_suspect


@pytest.mark.parametrize(
    ("crashes", "delivery", "most", "suspect"),
    [(0, 1, 3, False), (0, 3, 3, False), (1, 2, 3, False), (1, 2, 2, True), (1, 3, 3, True), (2, 3, 3, True), (2, 3, 9, True), (0, 1, 1, False)],
)
def test_two_deaths_or_one_before_the_last_delivery(crashes: int, delivery: int, most: int, *, suspect: bool) -> None:
    assert is_suspect(crashes, delivery, most) is suspect


def test_it_begins_when_it_is_the_only_one() -> None:
    async def scenario() -> list[str]:
        room, said = Room(), []
        for _ in range(3):
            room.enter()
        assert room.reserve()

        async def suspect() -> None:
            await room.emptied()
            said.append("alone")

        waiting = asyncio.create_task(suspect())
        for name in ("first", "second"):
            await asyncio.sleep(0)
            said.append(f"{name} leaves")
            room.leave()
        await waiting
        return said

    assert asyncio.run(scenario()) == ["first leaves", "second leaves", "alone"]


def test_a_read_of_the_streams_is_present_too() -> None:
    async def scenario() -> None:
        room = Room()
        room.enter()
        room.reserve()
        with room.occupied():
            waiting = asyncio.create_task(room.emptied())
            await asyncio.sleep(0.01)
            assert not waiting.done()
        await waiting

    asyncio.run(scenario())


def test_there_is_one_at_a_time() -> None:
    room = Room()
    assert [room.has_suspect, room.reserve(), room.has_suspect, room.reserve()] == [False, True, True, False]
    room.release()
    assert [room.has_suspect, room.reserve()] == [False, True]
