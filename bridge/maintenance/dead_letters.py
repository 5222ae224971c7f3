"""Dead letters past their retention are deleted, but never one whose job waits for it (parked) or goes on (open)."""

from __future__ import annotations

from typing import Any

from bridge.connection import Connection
from bridge.maintenance.apart import apart
from streams.bus import clock
from streams.bus.sweeping import purge_dead_letters
from streams.bus.topology import Service

AT_A_TIME = 200
DAY_MS = 86_400_000


def purge_old_dead_letters(connection: Connection) -> dict[str, int]:
    """Delete those that are older than `BRIDGE_DEAD_LETTER_DAYS`; returns how many, by stream."""
    newest = clock.now_ms() - int(connection.settings.dead_letter_days * DAY_MS)
    purged = dict(apart(connection.services, lambda each: (each.dead_letters, _purge(connection, each, f"({newest}-0"))))
    return {stream: count for stream, count in purged.items() if count}


def _purge(connection: Connection, service: Service, before: str) -> int:
    key, fates, after, count = connection.keys.stream(service.dead_letters), connection.keys.fates(service.name), "-", 0
    while after:
        rows: Any = connection.client.xrange(key, after, before, count=AT_A_TIME)
        letters = [(str(entry), connection.keys.job(fields.get("publish_id", ""))) for entry, fields in rows]
        if letters:
            count += connection.call(purge_dead_letters(key, fates, letters))
        after = f"({letters[-1][0]}" if len(letters) == AT_A_TIME else ""
    return count
