"""Reading through a group: what is lost, left behind, handed back or gone is found again, and nobody's work is stolen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import redis
import redis.asyncio

from streams.bus.clients import connect_async
from streams.bus.reader import Entry, GroupReader
from streams.errors import NewerSchema

GROUP = "workers"
LEASE = timedelta(milliseconds=400)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with connect_async(redis_url) as connected:
        yield connected


@pytest.fixture
def stream(prefix: str) -> str:
    return f"{prefix}commands"


def reader(client: redis.asyncio.Redis, *streams: str, name: str = "a", lease: timedelta = LEASE, recover_own: bool = True) -> GroupReader:
    return GroupReader(client, streams, group=GROUP, consumer=name, lease=lease, handed_back_idle_ms=1_000_000, recover_own=recover_own)


async def read(one: GroupReader, count: int = 10) -> list[str]:
    return [entry.fields["n"] for entry in await one.read(count, block_ms=1)]


async def read_until(one: GroupReader, expected: list[str]) -> None:
    seen: list[str] = []
    for _ in range(200):
        seen += [entry.fields["n"] for entry in await one.read(10, block_ms=20)]
        if seen == expected:
            return
    raise AssertionError(f"read {seen}, expected {expected}")


async def test_what_was_sent_before_the_group_existed_is_read(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    assert await read(reader(client, stream)) == ["1"]


async def test_no_more_than_asked_for_is_taken(client: redis.asyncio.Redis, stream: str) -> None:
    for number in range(5):
        await client.xadd(stream, {"n": str(number)})
    one = reader(client, stream)
    assert [await read(one, 2), await read(one, 2), await read(one, 2)] == [["0", "1"], ["2", "3"], ["4"]]


async def test_a_dead_consumers_entry_is_taken_after_one_lease_and_not_before(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    dead, other = reader(client, stream, name="dead"), reader(client, stream, name="other")
    await read(dead)
    assert await read(other) == []
    await read_until(other, ["1"])


async def test_after_connecting_nothing_is_claimed_for_one_lease(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    await read(reader(client, stream, name="dead"))
    [pending] = await client.xpending_range(stream, GROUP, "-", "+", 1)
    # As after an outage: idle for long, and yet its owner may be alive.
    await client.xclaim(stream, GROUP, "dead", 0, [pending["message_id"]], idle=60_000, justid=True)
    fresh = reader(client, stream, name="fresh")
    assert await read(fresh) == []
    await read_until(fresh, ["1"])


async def test_what_was_handed_back_is_taken_at_once(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    await read(reader(client, stream, name="gone"))
    [pending] = await client.xpending_range(stream, GROUP, "-", "+", 1)
    await client.xclaim(stream, GROUP, "handed_back", 0, [pending["message_id"]], idle=2_000_000, justid=True)
    assert await read(reader(client, stream, name="fresh", lease=timedelta(minutes=5))) == ["1"]


async def test_an_entry_whose_reply_was_lost_is_found_again_without_counting_as_a_delivery(client: redis.asyncio.Redis, stream: str) -> None:
    one = reader(client, stream)
    assert await read(one) == []
    await client.xadd(stream, {"n": "lost"})
    await client.xreadgroup(GROUP, "a", {stream: ">"})  # the server gave it to this consumer; the reply never came
    broken, one.client = one.client, connect_async("redis://127.0.0.1:1/0")
    with pytest.raises(redis.ConnectionError):
        await one.read(1, block_ms=1)
    one.client = broken
    assert await read(one) == ["lost"]
    [pending] = await client.xpending_range(stream, GROUP, "-", "+", 1)
    assert pending["times_delivered"] == 1


async def test_what_is_in_hand_is_not_given_twice(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    one = reader(client, stream)
    [entry] = await one.read(1, block_ms=1)
    for _ in range(10):
        assert await one.read(1, block_ms=60) == []  # well beyond the lease
    one.done(entry)
    await read_until(one, ["1"])


async def test_a_flushed_server_gets_its_group_again(client: redis.asyncio.Redis, stream: str) -> None:
    one = reader(client, stream)
    await read(one)
    await client.delete(stream)
    await client.xadd(stream, {"n": "after"})
    assert await read(one) == []
    assert await read(one) == ["after"]


async def test_streams_are_read_in_the_order_they_are_named(client: redis.asyncio.Redis, prefix: str) -> None:
    status, results = f"{prefix}status", f"{prefix}results"
    await client.xadd(results, {"n": "result"})
    await client.xadd(status, {"n": "status"})
    assert await read(reader(client, status, results)) == ["status", "result"]


@pytest.fixture
async def lanes(client: redis.asyncio.Redis, prefix: str) -> tuple[GroupReader, str, str]:
    urgent, normal = f"{prefix}urgent", f"{prefix}normal"
    one = GroupReader(client, [urgent, normal], group=GROUP, consumer="a", lease=LEASE, in_order=True)
    assert await read(one) == []
    return one, urgent, normal


async def test_a_later_lane_is_read_when_the_earlier_ones_are_empty_and_no_more_than_asked_for(client: redis.asyncio.Redis, lanes: Any) -> None:
    one, urgent, normal = lanes
    for number in range(3):
        await client.xadd(normal, {"n": f"n{number}"})
        await client.xadd(urgent, {"n": f"u{number}"})
    assert [await read(one, 2), await read(one, 2), await read(one, 2)] == [["u0", "u1"], ["u2", "n0"], ["n1", "n2"]]


async def test_an_idle_reader_gets_what_comes_on_any_lane(client: redis.asyncio.Redis, lanes: Any) -> None:
    one, _, normal = lanes
    waiting = asyncio.create_task(one.read(4, block_ms=5_000))
    await asyncio.sleep(0.1)
    await client.xadd(normal, {"n": "1"})
    assert ["1"] == [entry.fields["n"] for entry in await asyncio.wait_for(waiting, 1)]


async def test_what_is_claimed_comes_in_the_order_of_the_lanes_and_no_more_than_asked_for(client: redis.asyncio.Redis, lanes: Any) -> None:
    one, urgent, normal = lanes
    for stream, number in ((normal, "n"), (urgent, "u0"), (urgent, "u1")):
        await client.xadd(stream, {"n": number})
        await client.xreadgroup(GROUP, "dead", {stream: ">"})
    seen: list[list[str]] = []
    while sum(map(len, seen)) < 3:
        seen += [got] if (got := await read(one, 2)) else []
    assert seen == [["u0", "u1"], ["n"]]


async def test_acknowledged_entries_are_done_with(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    one = reader(client, stream)
    [entry] = await one.read(1, block_ms=1)
    await one.ack(entry)
    assert (await client.xpending(stream, GROUP))["pending"] == 0
    assert not one.in_hand


async def test_bytes_that_are_no_text_come_through_and_go_back_as_they_were(client: redis.asyncio.Redis, stream: str, redis_url: str) -> None:
    await client.xadd(stream, {"n": b"\xff\x00\xfe"})
    [entry] = await reader(client, stream).read(1, block_ms=1)
    assert entry.fields["n"].encode(errors="surrogateescape") == b"\xff\x00\xfe"
    copied: dict[Any, Any] = dict(entry.fields)
    await client.xadd(f"{stream}:copy", copied)
    async with redis.asyncio.Redis.from_url(redis_url, legacy_responses=False) as raw:
        [(_, fields)] = await raw.xrange(f"{stream}:copy") or []
        assert fields == {b"n": b"\xff\x00\xfe"}


async def test_what_is_in_hand_is_never_claimed_again_and_its_deliveries_stay_counted_right(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    one = reader(client, stream)
    [entry] = await one.read(1, block_ms=1)
    for _ in range(3):
        await client.xclaim(stream, GROUP, "a", 0, [entry.id], idle=60_000, justid=True)  # as after a pause longer than the lease
        for _ in range(10):
            assert await one.read(1, block_ms=60) == []
    [pending] = await client.xpending_range(stream, GROUP, "-", "+", 1)
    assert pending["times_delivered"] == 1


async def test_renewing_keeps_what_is_in_hand_from_others_and_counts_nothing(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    one, other = reader(client, stream), reader(client, stream, name="other")
    await one.read(1, block_ms=1)
    for _ in range(8):
        await one.renew()
        assert await other.read(1, block_ms=100) == []
    [pending] = await client.xpending_range(stream, GROUP, "-", "+", 1)
    assert (pending["consumer"], pending["times_delivered"]) == ("a", 1)
    await read_until(other, ["1"])
    await one.renew()
    [pending] = await client.xpending_range(stream, GROUP, "-", "+", 1)
    assert pending["consumer"] == "other"


async def test_what_is_of_a_newer_schema_is_left_for_others_and_not_tried_again_at_once(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "new", "schema": "2"})
    old, newer = reader(client, stream, name="old", lease=timedelta(minutes=5)), reader(client, stream, name="newer")
    [entry] = await old.read(1, block_ms=1)
    await old.leave(entry, NewerSchema("of schema 2"))
    old._last_claim = 0.0  # it looks for what others left
    assert await read(old) == []
    [pending] = await client.xpending_range(stream, GROUP, "-", "+", 1)
    assert (pending["consumer"], pending["times_delivered"]) == ("newer_schema", 0)
    await read_until(newer, ["new"])


async def test_many_of_a_newer_schema_dont_hide_what_a_dead_consumer_left(client: redis.asyncio.Redis, stream: str) -> None:
    for number in range(5):
        await client.xadd(stream, {"n": f"new{number}"})
    await client.xadd(stream, {"n": "left"})
    old = reader(client, stream, name="old")
    *newer, left = await old.read(6, block_ms=1)
    for entry in newer:
        await old.leave(entry, NewerSchema("of schema 2"))
    for entry in (*newer, left):
        await client.xclaim(stream, GROUP, "dead" if entry is left else "newer_schema", 0, [entry.id], idle=60_000, justid=True)
    other = reader(client, stream, name="other")
    claimed: list[str] = []
    while not claimed:
        claimed = await read(other, 1)
    assert claimed == ["left"]


async def test_with_turns_no_stream_waits_for_ever_and_no_more_is_taken_than_asked_for(client: redis.asyncio.Redis, prefix: str) -> None:
    a, b = f"{prefix}a", f"{prefix}b"
    one = GroupReader(client, [a, b], group=GROUP, consumer="a", lease=LEASE, take_turns=True)
    assert await read(one) == []
    for number in range(2):
        for stream, name in ((a, "a"), (b, "b")):
            await client.xadd(stream, {"n": f"{name}{number}"})
    assert sorted([await read(one, 1), await read(one, 1)]) == [["a0"], ["b0"]]


async def test_an_entry_knows_how_often_it_was_delivered(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    [first] = await reader(client, stream).read(1, block_ms=1)
    other = reader(client, stream, name="other")
    claimed: list[Entry] = []
    while not claimed:
        claimed = await other.read(1, block_ms=50)
    [again] = claimed
    [recovered] = await reader(client, stream, name="other").read(1, block_ms=1)  # as after a lost reply
    assert [first.deliveries, again.deliveries, recovered.deliveries] == [1, 2, 2]


async def test_renewing_tells_what_is_lost(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    one = reader(client, stream)
    [entry] = await one.read(1, block_ms=1)
    assert await one.renew() == set()
    await client.xclaim(stream, GROUP, "other", 0, [entry.id])
    assert await one.renew() == {entry.key}


async def test_a_delivery_that_was_begun_can_be_given_back_with_its_count(client: redis.asyncio.Redis, stream: str) -> None:
    await client.xadd(stream, {"n": "1"})
    one, other = reader(client, stream), reader(client, stream, name="other", lease=timedelta(minutes=5))
    [entry] = await one.read(1, block_ms=1)
    await one.give_back(entry, counted=True)
    assert [(entry.fields["n"], entry.deliveries) for entry in await other.read(1, block_ms=1)] == [("1", 2)]
