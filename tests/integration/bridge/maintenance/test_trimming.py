"""What is done with goes, what is to be kept stays, and nothing that a group still needs is touched, whatever the limits say."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from bridge.connection import Connection
from bridge.maintenance import trim_done
from streams.bus import clock
from streams.bus.limits import StreamLimits
from streams.bus.topology import MANAGEMENT_CONSUMERS, RedisStreamsConfig
from streams.bus.trim import count_before, plan_trim, trim
from tests.protocol.scene import LONG, Scene

HOUR_MS = 3_600_000
Connected = Callable[..., Connection]


@pytest.fixture
def stream(scene: Scene) -> str:
    """Ten entries, one an hour, the last of them now; a group is done with the first eight."""
    name, now = f"{scene.keys.prefix}s", clock.now_ms()
    for number in range(10):
        scene.client.xadd(name, {"n": str(number)}, id=f"{now - (9 - number) * HOUR_MS}-0")
    scene.client.xgroup_create(name, "g", "0")
    scene.client.xreadgroup("g", "c", {name: ">"}, count=8, noack=True)
    return name


def left(scene: Scene, stream: str) -> list[int]:
    return [int(fields["n"]) for _, fields in scene.entries(stream)]


@pytest.mark.parametrize(
    ("limits", "first"),
    [
        (StreamLimits(), 8),
        (StreamLimits(keep_hours=4.5), 5),
        (StreamLimits(keep_hours=0), 8),
        (StreamLimits(keep_hours=0.5), 8),
        (StreamLimits(keep_hours=100), 0),
        (StreamLimits(keep_entries=3), 5),
        (StreamLimits(keep_entries=0), 8),
        (StreamLimits(keep_entries=8), 0),
        (StreamLimits(keep_entries=100), 0),
        (StreamLimits(keep_hours=4.5, keep_entries=2), 6),
        (StreamLimits(keep_hours=4.5, keep_entries=6), 5),
    ],
)
def test_what_is_done_with_is_kept_by_age_and_count_and_the_rest_always(scene: Scene, stream: str, limits: StreamLimits, first: int) -> None:
    plan = scene.do(plan_trim(stream, keep=limits))
    assert plan.cut is not None
    assert first == count_before(scene.client, stream, plan.cut)
    assert first == scene.do(trim(stream, exact=True, keep=limits)).removed
    assert list(range(first, 10)) == left(scene, stream)


@pytest.mark.parametrize("seed", range(20))
def test_no_limit_removes_what_a_group_still_needs(scene: Scene, seed: int) -> None:
    pick, stream, now = Random(seed), f"{scene.keys.prefix}r", clock.now_ms()
    entries = [str(scene.client.xadd(stream, {"n": "1"}, id=f"{now - (30 - number) * 60_000}-{number}")) for number in range(30)]
    needed: set[str] = set()
    for group in "ab":
        scene.client.xgroup_create(stream, group, "0")
        count = pick.randint(0, 30)
        if count:
            scene.client.xreadgroup(group, "c", {stream: ">"}, count=count)
        acked = set(pick.sample(entries[:count], k=pick.randint(0, count)))
        if acked:
            scene.client.xack(stream, group, *acked)
        needed |= set(entries) - acked
    keep = StreamLimits(keep_hours=pick.choice((None, 0, 0.2)), keep_entries=pick.choice((None, 0, 1, 5)))
    scene.do(trim(stream, exact=True, keep=keep))
    assert needed <= {entry for entry, _ in scene.entries(stream)}


def test_a_plan_names_the_group_and_the_entry_that_hold_the_floor(scene: Scene) -> None:
    delivery, _ = scene.started("p1")
    scene.dispatch("p2", task="t2")
    scene.client.xgroup_create(scene.commands, "forgotten", "$")
    plan = scene.do(plan_trim(scene.commands))
    (held,) = plan.holding
    assert (delivery.entry, scene.service.group, "W1", 1) == (held.floor, held.name, held.holder, held.deliveries)
    assert 0 == count_before(scene.client, scene.commands, str(plan.cut))
    assert {"forgotten", scene.service.group} == {group.name for group in plan.groups}


def test_a_group_that_nobody_reads_holds_the_floor(scene: Scene) -> None:
    scene.client.xgroup_create(scene.results, "forgotten", "0")
    delivery, token = scene.started()
    scene.finish(delivery, token)
    scene.close("p1")
    plan = scene.do(plan_trim(scene.results))
    (held,) = plan.holding
    assert ("forgotten", 0, None) == (held.name, held.pending, held.holder)


def test_a_plan_changes_nothing(scene: Scene, stream: str) -> None:
    scene.do(plan_trim(stream))
    assert list(range(10)) == left(scene, stream)


def test_the_bridge_keeps_what_the_limits_say(connected: Connected, scene: Scene) -> None:
    for number in range(4):
        delivery, token = scene.started(f"p{number}", task=f"t{number}")
        scene.finish(delivery, token)
        scene.close(f"p{number}", task=f"t{number}")
    keeping = connected(stream_limits={scene.service.name: StreamLimits(keep_entries=3), scene.service.results: StreamLimits(keep_entries=1)})
    removed = trim_done(keeping, exact=True)
    assert {scene.service.commands: 1, scene.service.results: 3} == removed
    # Over the memory budget nothing is kept.
    scene.client.set(scene.keys.over_memory, "much", px=LONG)
    assert {scene.service.commands: 3, scene.service.results: 1} == trim_done(keeping, exact=True)


def test_a_long_stream_is_trimmed_in_one_go(connected: Connected, scene: Scene) -> None:
    """The server removes some 10,000 at a time when it may choose: more than that would come in five minutes."""
    for _ in range(25):
        pipe = scene.client.pipeline(transaction=False)
        for _ in range(1_000):
            pipe.xadd(scene.results, {"n": "1"})
        pipe.execute()
    scene.client.xgroup_setid(scene.results, MANAGEMENT_CONSUMERS, "$")
    assert trim_done(connected())[scene.service.results] > 24_000


def test_status_and_event_streams_are_capped_and_dead_letters_are_not(connected: Connected, scene: Scene) -> None:
    events = scene.keys.stream(RedisStreamsConfig.SYSTEM_EVENTS)
    for stream in (scene.status, events, scene.dead):
        for number in range(150):
            scene.client.xadd(stream, {"n": str(number)})
    trim_done(connected(stream_limits={"*": StreamLimits(cap=100)}), exact=True)
    assert [100, 100, 150] == [scene.client.xlen(stream) for stream in (scene.status, events, scene.dead)]
