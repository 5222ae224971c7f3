"""Ghosts are swept from the pending lists: entries that were deleted or trimmed by hand while somebody held them, and that nobody can be given again."""

from __future__ import annotations

import logging

from bridge.connection import Connection
from bridge.maintenance.consumers import groups
from streams.bus.sweeping import sweep_ghosts

logger = logging.getLogger(__name__)


def sweep_all_ghosts(connection: Connection) -> dict[str, int]:
    """Acknowledge what is pending for longer than a lease and gone from its stream; returns how many, by stream. An open job of theirs is repaired (R13)."""
    swept: dict[str, int] = {}
    for stream, group in groups(connection):
        if count := _sweep(connection, connection.keys.stream(stream), group):
            swept[stream] = swept.get(stream, 0) + count
            logger.warning("%s: %d entries were pending in %s, and are gone from the stream", stream, count, group)
    return swept


def _sweep(connection: Connection, key: str, group: str) -> int:
    count, after = 0, "-"
    while after:
        part = connection.call(sweep_ghosts(key, group=group, idle=connection.settings.lease, after=after))
        count, after = count + len(part.ghosts), part.after
    return count
