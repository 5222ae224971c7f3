"""Delayed commands whose time has come go back on their streams (protocol R7)."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.connection import Connection
from bridge.maintenance.apart import apart
from bridge.maintenance.lanes import own_stream
from streams.bus import clock
from streams.bus.topology import Service
from streams.jobs import managing

AT_A_TIME = 1_000


def promote_due(connection: Connection) -> int:
    """Put delayed commands that are due back on their streams; returns how many."""
    return sum(apart(connection.services, lambda each: sum(_promote(connection, each))))


def _promote(connection: Connection, each: Service) -> Iterator[bool]:
    due = connection.client.zrangebyscore(connection.keys.delayed(each.name), "-inf", clock.now_ms(), start=0, num=AT_A_TIME)

    def promote(publish_id: str) -> bool:
        # A worker wrote it: what is no stream of its own service isn't written to.
        stream = connection.client.hget(connection.keys.run(each.name, publish_id), "stream") if each.lanes else None
        return bool(connection.call(managing.promote(connection.keys, each, publish_id, stream=own_stream(connection, each, stream))))

    return apart(map(str, due), promote)
