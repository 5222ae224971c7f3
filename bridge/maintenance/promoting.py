"""Delayed commands whose time has come go back on their streams (protocol R7)."""

from __future__ import annotations

from bridge.connection import Connection
from bridge.maintenance.lanes import own_stream
from streams.bus import clock
from streams.jobs import managing

AT_A_TIME = 1_000


def promote_due(connection: Connection) -> int:
    """Put delayed commands that are due back on their streams; returns how many."""
    promoted = 0
    for each in connection.services:
        due = connection.client.zrangebyscore(connection.keys.delayed(each.name), "-inf", clock.now_ms(), start=0, num=AT_A_TIME)
        for publish_id in map(str, due):
            # A worker wrote it: what is no stream of its own service isn't written to.
            stream = connection.client.hget(connection.keys.run(each.name, publish_id), "stream") if each.lanes else None
            promoted += bool(connection.call(managing.promote(connection.keys, each, publish_id, stream=own_stream(connection, each, stream))))
    return promoted
