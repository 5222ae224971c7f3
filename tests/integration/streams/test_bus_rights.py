"""What the user of a bus has to be allowed is what its document lists."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from streams.bus.backoff import Backoff
from streams.bus.events import Event
from streams.bus.functions import load_library
from streams.bus.received import Received
from streams.bus.topology import RedisStreamsConfig, dead_letters_of
from tests.integration.streams.conftest import MakeBus
from tests.waiting import async_wait_until

STREAM = RedisStreamsConfig.SYSTEM_EVENTS
DOCUMENT = Path(__file__).parents[3] / "docs/event-bus.md"


@pytest.fixture
def restricted_url(redis_client: redis.Redis, redis_url: str, prefix: str) -> Iterator[str]:
    load_library(redis_client)
    match = re.search(r"`sent:\*`, and ([A-Z, ]+)\.", DOCUMENT.read_text())
    assert match
    commands = [f"+{name.strip().replace(' ', '|').lower()}" for name in match[1].split(",")]
    user = f"bus-{secrets.token_hex(4)}"
    keys = [f"~{prefix}{name}" for name in (STREAM, dead_letters_of(STREAM), "sent:*")]
    redis_client.execute_command("ACL", "SETUSER", user, "reset", "on", "nopass", *keys, *commands)  # type: ignore[no-untyped-call]
    parts = urlsplit(redis_url)
    yield urlunsplit(parts._replace(netloc=f"{user}:any@{parts.netloc.rpartition('@')[2]}"))
    redis_client.acl_deluser(user)


async def test_everything_works_with_them(make_bus: MakeBus, restricted_url: str) -> None:
    got: list[tuple[int, int]] = []

    async def handler(event: Event, received: Received[Event]) -> None:
        got.append((event.data, received.delivery))
        if event.data == 1:
            raise RuntimeError
        if event.data == 3:
            await asyncio.sleep(60)

    async with make_bus(redis_url=restricted_url) as bus:
        await bus.publish(STREAM, Event(type="counted", data=1), cap=100)
        await bus.send_with_retry(STREAM, Event(type="counted", data=2), cap=100)
        await bus.create_group(STREAM, "later", since="$")
        subscription = await bus.subscribe(STREAM, "all", handler, message_type=Event, backoff=Backoff(base=timedelta(milliseconds=20)))
        await async_wait_until(lambda: set(got) == {(1, 1), (1, 2), (1, 3), (2, 1)})
        async for letter in bus.read(dead_letters_of(STREAM), follow=True, since=None, count=1):
            assert letter.fields["reason"] == "exhausted"
        await bus.publish(STREAM, Event(type="counted", data=3))
        await async_wait_until(lambda: (3, 1) in got)
        await subscription.stop(timedelta(seconds=0))
        [*_, last] = [received async for received in bus.read(STREAM, message_type=Event)]
        assert last.message.data == 3
        assert [received.id async for received in bus.read(STREAM, since="$", follow=True, count=0)] == []
        pending = await bus.client.xpending_range(bus.keys.stream(STREAM), "all", "-", "+", 10)
        assert [row["consumer"] for row in pending] == ["handed_back"]
