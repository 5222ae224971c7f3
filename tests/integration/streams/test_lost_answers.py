"""Listening while answers are lost on the way: no handler is called for it, no delivery counted, no second dead letter written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from streams.bus.backoff import Backoff
from streams.bus.event_bus import RedisStreamsEventBus
from streams.bus.events import Event
from streams.bus.received import Received
from streams.bus.topology import RedisStreamsConfig, dead_letters_of
from streams.embedded import EmbeddedServer
from tests.integration.streams.conftest import MakeBus
from tests.lossy_proxy import LossyProxy
from tests.waiting import async_wait_until

STREAM = RedisStreamsConfig.SYSTEM_EVENTS
GROUP = "auditors"
SOON = Backoff(base=timedelta(milliseconds=20))


@pytest.fixture
def proxy(redis_url: str) -> Iterator[LossyProxy]:
    with LossyProxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
async def bus(make_bus: MakeBus, proxy: LossyProxy) -> AsyncIterator[RedisStreamsEventBus]:
    async with make_bus(redis_url=proxy.url) as one:
        yield one


class Failing:
    """A handler that fails until a delivery, and remembers all."""

    def __init__(self, until: int = 1) -> None:
        self.until = until
        self.deliveries: list[int] = []

    async def __call__(self, message: Event, received: Received[Event]) -> None:
        self.deliveries.append(received.delivery)
        if received.delivery < self.until:
            raise RuntimeError


def is_done(client: redis.Redis, stream: str) -> bool:
    return bool(client.xpending(stream, GROUP)["pending"] == 0)


@pytest.mark.parametrize(
    ("command", "until", "deliveries", "letters"),
    [("XREADGROUP", 1, [1], 0), ("XACK", 1, [1], 0), ("deliver_again", 3, [1, 2, 3], 0), ("give_up", 9, [1, 2, 3], 1)],
)
async def test_what_was_done_is_done_once(
    bus: RedisStreamsEventBus,
    proxy: LossyProxy,
    redis_client: redis.Redis,
    prefix: str,
    command: str,
    until: int,
    deliveries: list[int],
    letters: int,
) -> None:
    handler = Failing(until)
    await bus.publish(STREAM, Event(type="counted"))
    proxy.lose(command)
    await bus.subscribe(STREAM, GROUP, handler, message_type=Event, backoff=SOON)
    await async_wait_until(lambda: proxy.lost == 1 and handler.deliveries == deliveries and is_done(redis_client, f"{prefix}{STREAM}"))
    assert redis_client.xlen(f"{prefix}{dead_letters_of(STREAM)}") == letters


async def test_a_stop_while_the_server_is_away_ends_all_the_same(make_bus: MakeBus) -> None:
    with EmbeddedServer() as server:
        bus = make_bus(redis_url=server.url)
        handled = asyncio.Event()

        async def handler(message: Event, received: Received[Event]) -> None:
            await asyncio.to_thread(server.kill)
            handled.set()

        async with bus:
            await bus.client.config_set("appendfsync", "always")
            await bus.publish(STREAM, Event(type="counted"))
            await bus.subscribe(STREAM, GROUP, handler, message_type=Event)
            await handled.wait()
            await bus.stop(timedelta(seconds=0.2))
        await asyncio.to_thread(server.start)
        again: list[Any] = []

        async def other(message: Event, received: Received[Event]) -> None:
            again.append(received.delivery)

        async with make_bus(redis_url=server.url) as successor:
            await successor.subscribe(STREAM, GROUP, other, message_type=Event)
            await async_wait_until(lambda: again == [2])  # its acknowledgement never came: at least once
