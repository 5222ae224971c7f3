"""What waits for somebody who doesn't come: jobs for a worker, put-off jobs for their time, results for a job, newer messages for newer readers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

import redis

from bridge.connection import Connection
from bridge.maintenance.promoting import promote_due
from bridge.reconciling.problems import Kind, Problem
from bridge.reconciling.thresholds import ReconcilerSettings
from bridge.remote_control.stream_workers import stream_workers
from streams.bus import clock
from streams.bus.entry_ids import time_of
from streams.bus.messages import SCHEMA
from streams.bus.reader import NEWER_SCHEMA
from streams.bus.topology import MANAGEMENT_CONSUMERS, Service

logger = logging.getLogger(__name__)

MOST_TOLD = 20
"""Of one kind and service; the rest is counted."""


def services_without_workers(connection: Connection, settings: ReconcilerSettings) -> Iterator[Problem]:
    """Commands that have waited for a while, and nobody is there to take them."""
    alive = {worker.service for worker in stream_workers(connection)}
    oldest = clock.now_ms() - settings.settle_seconds * 1000
    for service in connection.services:
        if service.name in alive or service.reap_after_seconds is not None:  # workers in other languages tell nothing of themselves
            continue
        try:
            waiting = sum(_waits_since(connection, service, stream, oldest) for stream in service.command_streams)
        except redis.ResponseError as exc:
            _cannot_tell(service, exc)
            continue
        if waiting:
            yield Problem(
                Kind.NO_WORKER,
                f"service {service.name}",
                f"{waiting:,} jobs or more wait on its streams, and no worker of it is alive",
                f"start one: python -m workers {service.name}",
            )


def _cannot_tell(service: Service, error: redis.ResponseError) -> None:
    """Its workers write what they like to keys of their own: one service holds up no other. Upkeep tells which work fails, health which stream is none."""
    logger.warning("service %s: what waits there can't be told: %s", service.name, error)


def _waits_since(connection: Connection, service: Service, name: str, oldest_ms: float) -> int:
    """How many entries nobody has been given, that are older; at most 1,000 are counted."""
    stream: str = connection.keys.stream(name)
    if not connection.client.exists(stream):
        return 0
    groups: list[dict[str, Any]] = connection.client.xinfo_groups(stream)
    last = next((str(row["last-delivered-id"]) for row in groups if row["name"] == service.group), "0-0")
    rows: Any = connection.client.xrange(stream, f"({last}", str(int(oldest_ms)), count=1_000)
    return len(rows)


def overdue_delayed(connection: Connection, settings: ReconcilerSettings) -> Iterator[Problem]:
    """Jobs that were put off, and weren't put back on their streams in time."""
    latest = clock.now_ms() - settings.settle_seconds * 1000
    for service in connection.services:
        delayed = connection.keys.delayed(service.name)
        try:
            count = connection.client.zcount(delayed, "-inf", latest)
            oldest: Any = connection.client.zrange(delayed, 0, 0, withscores=True)
        except redis.ResponseError as exc:
            _cannot_tell(service, exc)
            continue
        if not count or not oldest:
            continue
        why = f"{count:,} jobs that were put off are due, the oldest for {(clock.now_ms() - float(oldest[0][1])) / 1000:.0f} s: does a bridge run?"
        yield Problem(Kind.DELAYED_OVERDUE, f"service {service.name}", why, "put them back on their streams", partial(_promote, connection))


def _promote(connection: Connection) -> str:
    return f"{promote_due(connection):,} are back"


def results_without_job(connection: Connection, settings: ReconcilerSettings) -> Iterator[Problem]:
    """Results that came lately, and were kept aside because nobody knows their job."""
    since = int(clock.now_ms() - settings.unknown_results_hours * 3_600_000)
    rows: Any = connection.client.xrevrange(connection.keys.superseded, "+", since, count=1_000)
    unknown = [(entry, fields) for entry, fields in rows if fields.get("verdict") == "unknown"]
    for entry, fields in unknown[:MOST_TOLD]:
        why = f"a result of {fields.get('worker') or 'somebody'} on {fields.get('source_stream')} ({entry}, {fields.get('status')}) names a job that nobody knows"
        to_do = f"who has sent that command? It is kept on {connection.keys.superseded}; nothing waits for it here"
        yield Problem(Kind.RESULT_WITHOUT_JOB, f"task {fields.get('task_id')}", why, to_do)
    if len(unknown) > MOST_TOLD:
        more = f"{len(unknown) - MOST_TOLD:,} more of the last {settings.unknown_results_hours:g} h"
        yield Problem(Kind.RESULT_WITHOUT_JOB, connection.keys.superseded, more, "see above")


def newer_messages(connection: Connection, settings: ReconcilerSettings) -> Iterator[Problem]:
    """Entries that were left for a reader of a newer version of this system."""
    latest = clock.utc_now() - settings.settle
    for service in connection.services:
        groups = [(stream, service.group, f"a newer {service.name} worker") for stream in service.command_streams]
        for name, group, reader in (*groups, (service.results, MANAGEMENT_CONSUMERS, "a newer bridge")):
            stream = connection.keys.stream(name)
            for entry in _left(connection, stream, group):
                if time_of(entry) > latest:
                    continue
                fields = _fields(connection, stream, entry)
                why = f"entry {entry} on {stream} has schema {fields.get('schema')}, and this version reads up to {SCHEMA}"
                yield Problem(Kind.NEWER_SCHEMA, f"task {fields.get('task_id', '?')}", why, f"start {reader}, or upgrade this one")


def _left(connection: Connection, stream: str, group: str) -> list[str]:
    """Their ids; at most 100."""
    try:
        rows: Any = connection.client.xpending_range(stream, group, "-", "+", 100, NEWER_SCHEMA)
    except redis.ResponseError:  # no stream or no group: nobody was ever there
        return []
    return [str(row["message_id"]) for row in rows]


def _fields(connection: Connection, stream: str, entry: str) -> dict[str, str]:
    rows: Any = connection.client.xrange(stream, entry, entry)
    return dict(rows[0][1]) if rows else {}
