"""A deployment with the function library, and a connection of its management side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery

from bridge import connect
from bridge.connection import Connection
from bridge.settings import BridgeSettings
from streams.bus.clients import connect as connect_redis
from streams.bus.functions import load_library
from streams.bus.topology import SERVICES, add_service
from streams.embedded import Server
from tests.protocol.scene import SERVICE, Scene


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[Scene]:
    add_service(SERVICE)
    with connect_redis(redis_url) as client:
        load_library(client)
        yield Scene(client, prefix)
    SERVICES[SERVICE.name] = SERVICE


@pytest.fixture
def connected(server: Server, prefix: str, scene: Scene) -> Callable[..., Connection]:
    """A connection with these settings, by their names in `BridgeSettings`."""

    def make(**settings: Any) -> Connection:
        app = connect(Celery("unit", broker="memory://", backend="cache+memory://", set_as_current=False))
        app.streams_connection = Connection(app, BridgeSettings(redis_url=server.url, streams_prefix=prefix, **settings))
        return Connection.of(app)

    return make
