"""An event bus on a deployment of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from streams.bus.event_bus import RedisStreamsEventBus
from streams.bus.settings import EventBusSettings

MakeBus = Callable[..., RedisStreamsEventBus]


@pytest.fixture
def make_bus(redis_url: str, prefix: str) -> MakeBus:
    """A bus with a lease of a second; it still has to be entered."""

    def make(**settings: Any) -> RedisStreamsEventBus:
        defaults = {"redis_url": redis_url, "streams_prefix": prefix, "lease_seconds": 1.0, "max_deliveries": 3}
        return RedisStreamsEventBus(EventBusSettings.load(**defaults | settings), name="test")

    return make


@pytest.fixture
async def bus(make_bus: MakeBus) -> AsyncIterator[RedisStreamsEventBus]:
    async with make_bus() as one:
        yield one
