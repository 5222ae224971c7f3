"""send_with_retry: the message is there once, whatever is lost on the way, or it is a dead letter, or its sender still has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from streams.bus.event_bus import RedisStreamsEventBus
from streams.bus.events import Event
from streams.bus.topology import RedisStreamsConfig, dead_letters_of
from streams.embedded import EmbeddedServer
from streams.errors import NotSent, SendRefused, ServerUnavailable
from tests.integration.streams.conftest import MakeBus
from tests.lossy_proxy import LossyProxy

STREAM = RedisStreamsConfig.MGMT_TRADING_COMMANDS
DEAD = RedisStreamsConfig.TRADING_MGMT_DEAD_LETTERS


def event(n: int = 1) -> Event:
    return Event(type="order", data=n)


@pytest.fixture
def proxy(redis_url: str) -> Iterator[LossyProxy]:
    with LossyProxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
def entries(redis_client: redis.Redis, prefix: str) -> Any:
    def read(stream: str = STREAM) -> list[tuple[str, dict[str, str]]]:
        rows: Any = redis_client.xrange(f"{prefix}{stream}")
        return rows  # type: ignore[no-any-return]

    return read


async def test_a_message_whose_answer_was_lost_is_there_once(make_bus: MakeBus, proxy: LossyProxy, entries: Any) -> None:
    async with make_bus(redis_url=proxy.url) as bus:
        proxy.lose("send_once", times=3)
        sent = await bus.send_with_retry(STREAM, event())
    assert proxy.lost == 3
    assert [entry for entry, _ in entries()] == [sent.id]


async def test_without_a_key_a_lost_answer_would_have_been_a_second_message(make_bus: MakeBus, proxy: LossyProxy, entries: Any) -> None:
    """What the key is for: a sender that repeats a plain XADD sends it twice."""
    async with make_bus(redis_url=proxy.url) as bus:
        proxy.lose("XADD")
        with pytest.raises(NotSent, match="may not be there"):
            await bus.publish(STREAM, event())
        await bus.publish(STREAM, event())
    assert len(entries()) == 2


async def test_a_sender_that_got_its_message_back_may_send_it_again(make_bus: MakeBus, proxy: LossyProxy, entries: Any) -> None:
    async with make_bus(redis_url=proxy.url) as bus:
        proxy.lose("send_once", times=2)
        with pytest.raises(NotSent, match=r"a message for mgmt:trading:commands may not be there, after 2 tries") as caught:
            await bus.send_with_retry(STREAM, event(), max_retries=1)
        assert isinstance(caught.value, ServerUnavailable)
        sent = await bus.send_with_retry(STREAM, event(), idempotency_key=caught.value.idempotency_key)
    assert [entry for entry, _ in entries()] == [sent.id]


async def test_one_key_is_one_message_of_a_stream(bus: RedisStreamsEventBus, entries: Any) -> None:
    first = await bus.send_with_retry(STREAM, event(), idempotency_key="order 7")
    again = await bus.send_with_retry(STREAM, event(), idempotency_key="order 7")
    elsewhere = await bus.send_with_retry(RedisStreamsConfig.SYSTEM_EVENTS, event(), idempotency_key="order 7")
    await bus.send_with_retry(STREAM, event())
    await bus.send_with_retry(STREAM, event())
    assert first == again
    assert elsewhere.id
    assert len(entries()) == 3


async def test_a_key_is_forgotten_in_time(make_bus: MakeBus, redis_client: redis.Redis, prefix: str) -> None:
    async with make_bus(idempotency_days=2) as bus:
        await bus.send_with_retry(STREAM, event(), idempotency_key="k")
    [key] = redis_client.scan_iter(f"{prefix}sent:*")
    assert 2 * 86_400 - 60 < redis_client.ttl(key) <= 2 * 86_400


async def test_it_is_tried_as_often_as_was_said_and_the_sender_gets_it_back(make_bus: MakeBus, proxy: LossyProxy) -> None:
    async with make_bus(redis_url=proxy.url) as bus:
        proxy.lose("send_once", times=9)
        with pytest.raises(NotSent, match="after 3 tries"):
            await bus.send_with_retry(STREAM, event(), max_retries=2)
    assert proxy.lost == 3


async def test_a_server_that_comes_back_in_time_gets_it(make_bus: MakeBus) -> None:
    with EmbeddedServer() as server:
        async with make_bus(redis_url=server.url) as bus:
            await asyncio.to_thread(server.kill)
            sending = asyncio.create_task(bus.send_with_retry(STREAM, event(), max_retries=10))
            await asyncio.to_thread(server.start)
            sent = await sending
            assert [received.id async for received in bus.read(STREAM)] == [sent.id]


async def test_a_server_without_the_functions_gets_them(make_bus: MakeBus) -> None:
    with EmbeddedServer() as server:
        async with make_bus(redis_url=server.url) as bus:
            assert (await bus.send_with_retry(STREAM, event())).id
            await bus.client.function_flush()
            assert (await bus.send_with_retry(STREAM, event())).id


async def test_a_full_server_is_no_reason_for_a_dead_letter(make_bus: MakeBus) -> None:
    with EmbeddedServer() as server:
        async with make_bus(redis_url=server.url) as bus:
            await bus.send_with_retry(STREAM, event())
            await bus.client.config_set("maxmemory", "1")
            with pytest.raises(NotSent, match="after 2 tries: OutOfMemoryError"):
                await bus.send_with_retry(STREAM, event(), max_retries=1)
            await bus.client.config_set("maxmemory", "0")
            assert [received.id async for received in bus.read(dead_letters_of(STREAM))] == []


async def test_what_the_server_refuses_is_a_dead_letter(bus: RedisStreamsEventBus, redis_client: redis.Redis, prefix: str, entries: Any) -> None:
    redis_client.set(f"{prefix}{STREAM}", "a string", ex=600)
    with pytest.raises(SendRefused, match=r"it is entry .* of trading:mgmt:dead_letters") as caught:
        await bus.send_with_retry(STREAM, event(7))
    [(entry, letter)] = entries(DEAD)
    assert entry == caught.value.dead_letter_id
    assert (letter["reason"], letter["source_stream"], letter["source_id"]) == ("refused", f"{prefix}{STREAM}", "")
    assert "WRONGTYPE" in json.loads(letter["error"])["message"]
    assert Event.from_redis_dict(letter).data == 7


async def test_what_is_too_large_is_a_dead_letter_with_what_of_it_fits(make_bus: MakeBus, entries: Any) -> None:
    async with make_bus(max_message_bytes=4096) as bus:
        with pytest.raises(SendRefused, match="4,096"):
            await bus.send_with_retry(STREAM, Event(type="large", data="x" * 10_000))
    [(_, letter)] = entries(DEAD)
    assert (letter["reason"], letter["type"], letter["cut"], len(letter["data"])) == ("oversize", "large", "data", 2_000)
    assert entries() == []


async def test_dead_letters_that_are_refused_too_are_told(bus: RedisStreamsEventBus, redis_client: redis.Redis, prefix: str) -> None:
    for stream in (STREAM, DEAD):
        redis_client.set(f"{prefix}{stream}", "a string", ex=600)
    with pytest.raises(SendRefused, match="and it can't be moved to trading:mgmt:dead_letters: WRONGTYPE") as caught:
        await bus.send_with_retry(STREAM, event())
    assert caught.value.dead_letter_id is None


async def test_a_message_can_be_moved_to_the_dead_letters_by_hand_once(make_bus: MakeBus, proxy: LossyProxy, entries: Any) -> None:
    async with make_bus(redis_url=proxy.url) as bus:
        proxy.lose("send_once")
        letter = await bus.move_to_dead_letter(STREAM, event(3), reason="rejected", error=ValueError("no such pair"))
    [(entry, fields)] = entries(DEAD)
    assert (entry, fields["reason"], json.loads(fields["error"])["message"]) == (letter, "rejected", "no such pair")
