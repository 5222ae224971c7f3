"""Which of a service's streams a job belongs on, now that its lanes may be others than when it was dispatched."""

from __future__ import annotations

from bridge.connection import Connection
from streams.bus.topology import Service


def own_stream(connection: Connection, service: Service, stream: object) -> str | None:
    """The stream, if it is one that the service's workers read; else None, which is the default lane."""
    return next((own for own in map(connection.keys.stream, service.command_streams) if own == stream), None)
