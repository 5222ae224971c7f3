"""The jobs that aren't finished, from the ledger: what waits on a stream, what runs where."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from bridge.connection import Connection
from bridge.job_info import Stage

MOST = 10_000


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A publish that has no outcome yet."""

    publish_id: str
    task_id: str
    service: str
    context: str
    """Celery's request, as dispatch remembered it (JSON)."""
    stage: Stage
    """Waiting, running or delayed."""
    worker: str
    """Which runs it, or ran it last; "" when none has."""
    started_at: float | None
    """Seconds since the epoch."""


def open_jobs(connection: Connection, task_ids: Iterable[str] | None = None) -> list[OpenJob]:
    """The open jobs in the order of their dispatch, at most 10,000.

    Args:
        connection: of the app.
        task_ids: only those of these tasks.
    """
    client, keys = connection.client, connection.keys
    if task_ids is None:
        publishes: list[str] = [str(each) for each in client.zrange(keys.open_jobs, 0, MOST - 1)]
    else:
        rows: Any = [client.hgetall(keys.task(task_id)) for task_id in task_ids]
        publishes = [publish for row in rows for field, publish in row.items() if field.startswith("publish:")]
    ledgers = _read(connection, [(keys.job(each), ("phase", "task_id", "service", "ctx")) for each in publishes])
    opened = [(each, row) for each, row in zip(publishes, ledgers, strict=True) if row[0] == "open"]
    runs = _read(connection, [(keys.run(row[2], each), ("worker", "heartbeat", "started_at", "result_id")) for each, row in opened])
    with client.pipeline(transaction=False) as pipe:
        for each, row in opened:
            pipe.zscore(keys.delayed(row[2]), each)
        due = pipe.execute()
    jobs = []
    for (publish, (_, task_id, service, context)), (worker, heartbeat, started, result), due_at in zip(opened, runs, due, strict=True):
        stage = _stage(connection, heartbeat, result, is_delayed=due_at is not None)
        jobs.append(OpenJob(publish, task_id, service, context, stage, worker or "", _moment(started)))
    return jobs


def parked_jobs(connection: Connection) -> list[tuple[str, str]]:
    """Task id and context of the jobs that wait for an operator, at most 10,000."""
    keys = connection.keys
    publishes = [str(each) for each in connection.client.zrange(keys.parked_jobs, 0, MOST - 1)]
    rows = _read(connection, [(keys.job(each), ("phase", "task_id", "ctx")) for each in publishes])
    return [(task_id, context) for phase, task_id, context in rows if phase == "parked"]


def _read(connection: Connection, wanted: list[tuple[str, tuple[str, ...]]]) -> list[list[Any]]:
    with connection.client.pipeline(transaction=False) as pipe:
        for key, fields in wanted:
            pipe.hmget(key, list(fields))
        rows = pipe.execute(raise_on_error=False)
    # Workers write their half of the ledger: one that makes it something else hides its own job, and no other.
    return [[None] * len(fields) if isinstance(row, redis.ResponseError) else row for (_, fields), row in zip(wanted, rows, strict=True)]


def _moment(started: str | None) -> float | None:
    try:
        return datetime.fromisoformat(started).timestamp() if started else None
    except ValueError:
        return None


def _stage(connection: Connection, heartbeat: str | None, result: str | None, *, is_delayed: bool) -> Stage:
    try:
        heard_at = float(heartbeat or "nan") / 1000
    except ValueError:
        heard_at = math.nan
    if math.isnan(heard_at):
        return Stage.WAITING
    if result is None and is_delayed:
        return Stage.DELAYED
    # Heard of within two leases: else its worker is gone, and the entry is to be claimed by another.
    heard = time.time() - heard_at < 2 * connection.settings.lease_seconds
    return Stage.RUNNING if heard or result is not None else Stage.WAITING
