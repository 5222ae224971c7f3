"""How much memory the streams use, sampled now and then; over the budget no command is dispatched (`BacklogFull`) until they are below it again."""

from __future__ import annotations

import logging

import redis

from bridge.connection import Connection
from streams.bus.topology import RedisStreamsConfig

logger = logging.getLogger(__name__)

MIB = 2**20
STANDS_FOR_INTERVALS = 20
"""If nobody looks any more, dispatching goes on after so many intervals; then the server's own `maxmemory` is the limit."""


def watch_memory(connection: Connection) -> dict[str, int]:
    """Compare what the streams use with `STREAMS_MEMORY_MIB`, and note it when it is more; returns the bytes of each stream."""
    used = stream_bytes(connection)
    total, budget = sum(used.values()), connection.settings.memory_budget_bytes
    key = connection.keys.over_memory
    if budget is not None and total > budget:
        most = max(used, key=lambda stream: used[stream])
        words = f"{total / MIB:,.1f} MiB of {budget / MIB:,.1f} MiB (STREAMS_MEMORY_MIB), most of it in {most}"
        if not connection.client.exists(key):
            logger.warning("the streams are over their memory budget, nothing is dispatched: %s", words)
        connection.client.set(key, words, px=int(1000 * STANDS_FOR_INTERVALS * max(1.0, connection.settings.memory_seconds)))
    elif connection.client.delete(key):
        logger.info("the streams are below their memory budget again: %.1f MiB", total / MIB)
    return {stream: size for stream, size in used.items() if size}


def stream_bytes(connection: Connection) -> dict[str, int]:
    """Memory of each stream, by its logical name; the server estimates it from a few of its nodes."""
    names = [stream for each in connection.services for stream in each.streams]
    names += [RedisStreamsConfig.SYSTEM_EVENTS, RedisStreamsConfig.SUPERSEDED_RESULTS]
    with connection.client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.memory_usage(connection.keys.stream(name))
        sizes = pipe.execute(raise_on_error=False)
    for size in sizes:
        if isinstance(size, redis.RedisError):
            raise size
    return {name: int(size or 0) for name, size in zip(names, sizes, strict=True)}
