"""What is looked at: one deployment's streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import redis

from streams.bus.topology import Keys, Service


class StreamsConnection(Protocol):
    """What `bridge.connect` gives an app; see `bridge.connection.Connection`."""

    @property
    def client(self) -> redis.Redis:
        """Of the streams' server."""

    @property
    def keys(self) -> Keys:
        """Of this deployment."""

    @property
    def services(self) -> tuple[Service, ...]:
        """That it knows."""

    @property
    def settings(self) -> Any:
        """With `lease_seconds`."""


class ConnectedApp(Protocol):
    """A Celery app after `bridge.connect(app)`."""

    @property
    def streams_connection(self) -> StreamsConnection:
        """What `connect` made."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The streams of some services on one server."""

    client: redis.Redis
    """A client of `streams.bus.clients.connect`."""
    keys: Keys
    services: tuple[Service, ...]
    lease_seconds: float = 15.0

    @classmethod
    def of(cls, source: Deployment | StreamsConnection | ConnectedApp) -> Deployment:
        """That of a connected app, or itself."""
        if isinstance(source, Deployment):
            return source
        connection: Any = getattr(source, "streams_connection", source)
        return cls(connection.client, connection.keys, connection.services, float(connection.settings.lease_seconds))
