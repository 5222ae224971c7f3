"""R14: nothing is removed that some group hasn't read and acknowledged."""

from __future__ import annotations

from random import Random

import pytest

from streams.bus.trim import Trimmed, trim
from tests.protocol.scene import Scene


@pytest.fixture
def stream(scene: Scene) -> str:
    """Entries 1-0 to 5-0, and no group."""
    name = f"{scene.keys.prefix}s"
    for number in range(1, 6):
        scene.client.xadd(name, {"n": str(number)}, id=f"{number}-0")
    return name


def left(scene: Scene, stream: str) -> list[str]:
    return [entry for entry, _ in scene.entries(stream)]


def test_a_stream_without_a_group_is_left_alone(scene: Scene, stream: str) -> None:
    assert Trimmed(0, None) == scene.do(trim(stream, exact=True))
    assert 5 == len(left(scene, stream))


def test_a_stream_that_is_not_there_is_left_alone(scene: Scene) -> None:
    missing = f"{scene.keys.prefix}missing"
    assert Trimmed(0, None) == scene.do(trim(missing))
    assert 0 == scene.client.exists(missing)


def test_what_was_not_read_stays(scene: Scene, stream: str) -> None:
    scene.client.xgroup_create(stream, "g", "0")
    assert 0 == scene.do(trim(stream, exact=True)).removed


def test_the_oldest_pending_entry_is_the_floor(scene: Scene, stream: str) -> None:
    scene.client.xgroup_create(stream, "g", "0")
    scene.client.xreadgroup("g", "c", {stream: ">"}, count=4)
    scene.client.xack(stream, "g", "1-0", "3-0")
    assert Trimmed(1, "2-0") == scene.do(trim(stream, exact=True))
    assert ["2-0", "3-0", "4-0", "5-0"] == left(scene, stream)


def test_with_nothing_pending_the_floor_is_after_the_last_that_was_read(scene: Scene, stream: str) -> None:
    scene.client.xgroup_create(stream, "g", "0")
    scene.client.xreadgroup("g", "c", {stream: ">"}, count=3, noack=True)
    assert Trimmed(3, "3-1") == scene.do(trim(stream, exact=True))
    assert ["4-0", "5-0"] == left(scene, stream)


def test_the_slowest_group_decides(scene: Scene, stream: str) -> None:
    for group, count in (("fast", 5), ("slow", 2), ("middle", 3)):
        scene.client.xgroup_create(stream, group, "0")
        scene.client.xreadgroup(group, "c", {stream: ">"}, count=count, noack=True)
    assert Trimmed(2, "2-1") == scene.do(trim(stream, exact=True))


def test_ids_are_compared_as_numbers(scene: Scene) -> None:
    stream = f"{scene.keys.prefix}n"
    for entry in ("9-9", "9-10", "10-1"):
        scene.client.xadd(stream, {"n": "1"}, id=entry)
    for group, start in (("a", "9-9"), ("b", "10-1"), ("c", "9-10")):
        scene.client.xgroup_create(stream, group, start)
    assert Trimmed(1, "9-10") == scene.do(trim(stream, exact=True))


@pytest.mark.parametrize("seq", ["9007199254740993", "18446744073709551615"])
def test_ids_beyond_what_lua_counts_are_safe(scene: Scene, seq: str) -> None:
    stream = f"{scene.keys.prefix}n"
    scene.client.xadd(stream, {"n": "1"}, id=f"5-{seq}")
    scene.client.xadd(stream, {"n": "2"}, id="6-0")
    scene.client.xgroup_create(stream, "g", f"5-{seq}")
    scene.do(trim(stream, exact=True))
    assert "6-0" in left(scene, stream)


@pytest.mark.parametrize("seed", range(20))
def test_nothing_unacknowledged_is_lost(scene: Scene, seed: int) -> None:
    stream, pick, groups = f"{scene.keys.prefix}r", Random(seed), ("a", "b", "c")
    kept: dict[str, set[str]] = {}
    for _ in range(150):
        step, group = pick.choice(("add", "add", "create", "read", "read", "ack", "ack", "trim")), pick.choice(groups)
        if step == "add":
            entry = str(scene.client.xadd(stream, {"n": "1"}))
            for owed in kept.values():
                owed.add(entry)
        elif step == "create" and group not in kept:
            scene.client.xgroup_create(stream, group, "0", mkstream=True)
            kept[group] = set(left(scene, stream))
        elif step == "read" and group in kept:
            scene.client.xreadgroup(group, "c", {stream: ">"}, count=pick.randint(1, 4))
        elif step == "ack" and group in kept:
            for row in pick.sample(rows := scene.pending(stream, group), k=min(len(rows), pick.randint(0, 3))):
                scene.client.xack(stream, group, row["message_id"])
                kept[group].discard(row["message_id"])
        elif step == "trim":
            scene.do(trim(stream, exact=pick.random() < 0.7))
        assert set().union(*kept.values()) <= set(left(scene, stream))
