"""Consumers that are idle and own nothing are deleted: each worker process has a name of its own, and they would only grow in number."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import redis

from bridge.connection import Connection
from streams.bus.sweeping import delete_consumers
from streams.jobs.running import HANDED_BACK


def delete_idle_consumers(connection: Connection) -> dict[str, int]:
    """Delete those that did nothing for `BRIDGE_CONSUMER_IDLE_SECONDS`; returns how many, by stream."""
    idle = timedelta(seconds=connection.settings.consumer_idle_seconds)
    deleted: dict[str, int] = {}
    for stream, group in groups(connection):
        step = delete_consumers(connection.keys.stream(stream), group=group, idle=idle, kept=HANDED_BACK)
        if names := connection.call(step):
            deleted[stream] = deleted.get(stream, 0) + len(names)
    return deleted


def groups(connection: Connection) -> Iterator[tuple[str, str]]:
    """Every group of every stream of the services, by the stream's logical name."""
    for each in connection.services:
        for stream in each.streams:
            try:
                rows = connection.client.xinfo_groups(connection.keys.stream(stream))
            except redis.ResponseError:  # no such stream
                continue
            for row in rows:
                yield stream, str(row["name"])
