"""A deployment of its own for each test, with the function library loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.bus.clients import connect
from streams.bus.functions import load_library
from tests.protocol.dead_scene import DeadScene


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[DeadScene]:
    """Groups exist, nothing was sent. The client is one of the system's own: bytes that are no text come through."""
    with connect(redis_url) as client:
        load_library(client)
        yield DeadScene(client, prefix)
