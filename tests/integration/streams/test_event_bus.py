"""Publishing and reading: what is sent is read back, from an id, from a time, or as it comes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import redis

from streams.bus.clients import connect_async
from streams.bus.event_bus import RedisStreamsEventBus
from streams.bus.events import Event
from streams.bus.messages import EventMessage
from streams.bus.topology import RedisStreamsConfig
from streams.embedded import EmbeddedServer
from streams.errors import DecodeError, NotSent, PayloadTooLarge, ServerUnavailable
from tests.integration.streams.conftest import MakeBus
from tests.waiting import async_wait_until

STREAM = RedisStreamsConfig.SYSTEM_EVENTS
AWAY = "redis://127.0.0.1:1/0"


def event(n: int) -> Event:
    return Event(type="counted", source="test", data={"n": n})


async def numbers(bus: RedisStreamsEventBus, **how: object) -> list[int]:
    return [received.message.data["n"] async for received in bus.read(STREAM, message_type=Event, **how)]  # type: ignore[arg-type]


async def test_what_is_published_is_read_back(bus: RedisStreamsEventBus) -> None:
    sent = event(1)
    entry = await bus.publish(STREAM, sent)
    [received] = [each async for each in bus.read(STREAM, message_type=Event)]
    assert (received.id, received.stream, received.message) == (entry, STREAM, sent)
    assert abs(received.at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_the_deployments_prefix_goes_in_front(bus: RedisStreamsEventBus, prefix: str, redis_client: redis.Redis) -> None:
    await bus.publish(STREAM, event(1))
    assert redis_client.xlen(f"{prefix}{STREAM}") == 1


async def test_it_reads_on_after_an_id_and_no_more_than_asked_for(bus: RedisStreamsEventBus) -> None:
    ids = [await bus.publish(STREAM, event(n)) for n in range(5)]
    assert await numbers(bus, since=ids[1]) == [2, 3, 4]
    assert await numbers(bus, since=ids[0], until=ids[2]) == [1, 2]
    assert await numbers(bus, count=2) == [0, 1]


async def test_it_reads_from_a_time_to_a_time(bus: RedisStreamsEventBus, prefix: str, redis_client: redis.Redis) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(5):
        fields = event(n).to_redis_dict()
        redis_client.xadd(f"{prefix}{STREAM}", fields, id=f"{int((start + timedelta(seconds=n)).timestamp() * 1000)}-7")  # type: ignore[arg-type]
    assert await numbers(bus, since=start + timedelta(seconds=2)) == [2, 3, 4]
    assert await numbers(bus, since=start + timedelta(seconds=1), until=start + timedelta(seconds=3)) == [1, 2, 3]
    assert await numbers(bus, since=start.replace(tzinfo=None), count=1) == [0]  # naive: UTC


async def test_more_than_a_page_is_read_whole(bus: RedisStreamsEventBus, prefix: str, redis_client: redis.Redis) -> None:
    with redis_client.pipeline(transaction=False) as pipe:
        for n in range(1_201):
            pipe.xadd(f"{prefix}{STREAM}", event(n).to_redis_dict())  # type: ignore[arg-type]
        pipe.execute()
    assert await numbers(bus) == list(range(1_201))


@pytest.mark.parametrize(("since", "expected"), [(None, [0, 1, 2]), ("$", [1, 2])])
async def test_it_follows_what_comes(bus: RedisStreamsEventBus, since: str | None, expected: list[int]) -> None:
    await bus.publish(STREAM, event(0))
    seen: list[int] = []

    async def follow() -> None:
        async for received in bus.read(STREAM, message_type=Event, since=since, follow=True, count=len(expected)):
            seen.append(received.message.data["n"])  # noqa: PERF401 - as they come

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.2)
    for n in (1, 2):
        await bus.publish(STREAM, event(n))
    await following
    assert seen == expected


async def test_a_stream_that_isnt_there_is_empty(bus: RedisStreamsEventBus) -> None:
    assert await numbers(bus) == []


async def test_what_cant_be_decoded_is_told_where_it_is_looked_at(bus: RedisStreamsEventBus, prefix: str, redis_client: redis.Redis) -> None:
    redis_client.xadd(f"{prefix}{STREAM}", {"what": "ever"})
    [received] = [each async for each in bus.read(STREAM, message_type=Event)]
    assert received.fields == {"what": "ever"}
    with pytest.raises(DecodeError, match="type: Field required"):
        _ = received.message


async def test_a_group_begins_where_it_is_told(bus: RedisStreamsEventBus, prefix: str, redis_client: redis.Redis) -> None:
    ids = [await bus.publish(STREAM, event(n)) for n in range(3)]
    assert [await bus.create_group(STREAM, "g", since=ids[0]), await bus.create_group(STREAM, "g")] == [True, False]
    assert await bus.create_group(STREAM, "ahead", since=datetime.now(UTC) - timedelta(hours=1))
    assert await bus.create_group(STREAM, "late", since="$")
    assert await bus.create_group("new:events", "all")
    unread = {
        group: len(redis_client.xreadgroup(group, "c", {f"{prefix}{STREAM}": ">"}) or {f"{prefix}{STREAM}": []}) for group in ("g", "ahead", "late")
    }
    assert set(unread) == {"g", "ahead", "late"}
    pending = {group: redis_client.xpending(f"{prefix}{STREAM}", group)["pending"] for group in unread}
    assert pending == {"g": 2, "ahead": 3, "late": 0}


@pytest.mark.parametrize("stream", ["mgmt:trading:commands", "trading:mgmt:results", "trading:mgmt:dead_letters", "mgmt:lab:commands:urgent"])
async def test_what_somebody_waits_for_is_never_capped(bus: RedisStreamsEventBus, stream: str) -> None:
    with pytest.raises(ValueError, match="can't be capped"):
        await bus.publish(stream, event(1), cap=10)
    with pytest.raises(ValueError, match="can't be capped"):
        await bus.send_with_retry(stream, event(1), cap=10)


async def test_news_may_be_capped(bus: RedisStreamsEventBus, prefix: str, redis_client: redis.Redis) -> None:
    for n in range(250):
        await (bus.publish(STREAM, event(n), cap=10) if n % 2 else bus.send_with_retry(STREAM, event(n), cap=10))
    assert 10 <= redis_client.xlen(f"{prefix}{STREAM}") < 200  # by whole nodes, of 100


async def test_what_is_too_large_is_refused(make_bus: MakeBus) -> None:
    async with make_bus(max_message_bytes=1024) as bus:
        with pytest.raises(PayloadTooLarge, match="STREAMS_MAX_MESSAGE_BYTES allows 1,024"):
            await bus.publish(STREAM, Event(type="large", data="x" * 2000))


async def test_a_server_that_is_away_is_told(make_bus: MakeBus) -> None:
    async with make_bus(redis_url=AWAY) as bus:
        with pytest.raises(NotSent, match=r"a message \(Event\) for system:events may not be there: ConnectionError"):
            await bus.publish(STREAM, event(1))
        with pytest.raises(ServerUnavailable):
            await numbers(bus)


async def test_following_outlasts_a_restart_of_the_server(make_bus: MakeBus) -> None:
    with EmbeddedServer() as server:
        async with make_bus(redis_url=server.url) as bus:
            seen: list[int] = []

            async def follow() -> None:
                async for received in bus.read(STREAM, message_type=Event, follow=True):
                    seen.append(received.message.data["n"])  # noqa: PERF401 - as they come

            following = asyncio.create_task(follow())
            await bus.publish(STREAM, event(1))
            await async_wait_until(lambda: seen == [1])
            await asyncio.to_thread(server.restart)
            await bus.send_with_retry(STREAM, event(2), max_retries=10)
            await async_wait_until(lambda: seen == [1, 2])
            following.cancel()


async def test_a_client_that_retries_by_itself_is_refused(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as client:
        with pytest.raises(ValueError, match="connect_async"):
            RedisStreamsEventBus(client=client)


async def test_a_given_client_stays_open(redis_url: str) -> None:
    async with connect_async(redis_url) as client:
        async with RedisStreamsEventBus(client=client):
            pass
        assert await client.ping()


async def test_the_base_message_reads_anything(bus: RedisStreamsEventBus) -> None:
    await bus.publish(STREAM, event(1))
    [received] = [each async for each in bus.read(STREAM)]
    assert (received.message, received.fields["type"]) == (EventMessage(), "counted")
