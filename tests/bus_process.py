"""Processes that use an event bus, for tests to kill. Where it is, and its prefix: REDIS_URL, STREAMS_PREFIX.

python -m tests.bus_process listen STREAM GROUP hang|die|count
python -m tests.bus_process send STREAM KEY...      one message for each idempotency key; TEST_STOP_FILE: see tests.stopping
python -m tests.bus_process start                   enter a bus and leave it: its spool is drained
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from streams.bus.event_bus import RedisStreamsEventBus
from streams.bus.events import Event
from streams.bus.received import Received
from streams.bus.spool import ASIDE
from tests import stopping


async def listen(stream: str, group: str, how: str) -> None:
    async with RedisStreamsEventBus(name="killed") as bus:

        async def handler(message: Event, received: Received[Event]) -> None:
            if how == "count":
                await asyncio.sleep(0.01)
                await bus.client.sadd(f"{bus.keys.prefix}counted", str(message.data))
                return
            await bus.client.rpush(f"{bus.keys.prefix}begun", received.id)
            if how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            await asyncio.sleep(3600)

        await bus.subscribe(stream, group, handler, message_type=Event, concurrency=4 if how == "count" else 1)
        await asyncio.sleep(3600)


async def send(stream: str, *idempotency_keys: str) -> None:
    async with RedisStreamsEventBus() as bus:
        for key in idempotency_keys:
            await bus.send_with_retry(stream, Event(type="sent", data=key), max_retries=1, idempotency_key=key)


async def start() -> None:
    async with RedisStreamsEventBus():
        pass


def _stop_at_files() -> None:
    """The steps of a spool are the file system's."""
    name = os.environ.get("TEST_STOP_FILE")
    if name:
        file = Path(name)
        os.fsync = stopping._wrapped(file, os.fsync, lambda *_: "fsync")
        Path.rename = stopping._wrapped(file, Path.rename, lambda path, *_: "rename" if path.suffix == ASIDE else "another rename")  # type: ignore[method-assign]
        Path.unlink = stopping._wrapped(file, Path.unlink, lambda *_, **__: "unlink")  # type: ignore[method-assign]


if __name__ == "__main__":
    stopping.install()
    _stop_at_files()
    match sys.argv[1:]:
        case ["listen", a_stream, a_group, a_handler]:
            asyncio.run(listen(a_stream, a_group, a_handler))
        case ["send", a_stream, *keys]:
            asyncio.run(send(a_stream, *keys))
        case _:
            asyncio.run(start())
