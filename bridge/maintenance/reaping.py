"""R11 for each service whose workers don't claim (`reap_after_seconds`): what a silent one holds is sent again, or becomes a dead letter."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import redis

from bridge.connection import Connection
from bridge.maintenance.apart import apart
from streams.bus.topology import Service
from streams.jobs import managing
from streams.jobs.running import publish_of

logger = logging.getLogger(__name__)

PAGE: Final = 100


def reap_silent(connection: Connection) -> dict[str, int]:
    """Take every entry away from a consumer that was silent for too long. Two that do it at once do no harm.

    Returns:
        How many there were, by what became of them: `reaped` (sent again), `dead_lettered`, `cancelled`, `resolved` or `vanished` (only acknowledged).
    """
    done: dict[str, int] = {}

    def reap(service: Service) -> None:
        for verdict in _reap(connection, service, timedelta(seconds=service.reap_after_seconds or 0)):
            done[verdict] = done.get(verdict, 0) + 1

    for _ in apart([each for each in connection.services if each.reap_after_seconds is not None], reap):
        pass
    return done


def _reap(connection: Connection, service: Service, min_idle: timedelta) -> Iterator[str]:
    silent = [
        (stream, entry)
        for stream in map(connection.keys.stream, service.command_streams)
        for entry in _silent(connection, stream, service.group, min_idle)
    ]

    def reap(held: tuple[str, str]) -> str:
        stream, entry = held
        rows: Any = connection.client.xrange(stream, entry, entry)
        fields = rows[0][1] if rows else {}
        step = managing.reap(
            connection.keys,
            service,
            stream=stream,
            entry=entry,
            fields=fields,
            publish_id=publish_of(service, stream, entry, fields.get("publish_id")),
            min_idle=min_idle,
            max_deliveries=connection.settings.max_deliveries,
        )
        verdict = connection.call(step)
        if verdict not in {"fresh", "gone"}:
            logger.warning("%s: entry %s of task %s was silent for %s: %s", service.name, entry, fields.get("task_id", "?"), min_idle, verdict)
        return verdict

    return (verdict for verdict in apart(silent, reap) if verdict not in {"fresh", "gone"})


def _silent(connection: Connection, stream: str, group: str, min_idle: timedelta) -> list[str]:
    """The ids of all entries that nobody has renewed for so long."""
    found: list[str] = []
    after = "-"
    while True:
        try:
            rows: Any = connection.client.xpending_range(stream, group, after, "+", PAGE, idle=int(min_idle / timedelta(milliseconds=1)))
        except redis.ResponseError:  # no stream or no group yet: no worker was ever there
            return found
        found += [row["message_id"] for row in rows]
        if len(rows) < PAGE:
            return found
        after = f"({rows[-1]['message_id']}"
