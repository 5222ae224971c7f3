"""Retries that Celery announced, and whose messages haven't arrived: the broker has lost them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from celery import states
from kombu.utils.json import loads

from bridge import identity
from bridge.celery_internals.resuming import send_retry
from bridge.celery_internals.servers import stored_states
from bridge.connection import Connection
from bridge.reconciling.ledgers import ignores_result
from bridge.reconciling.problems import Kind, Problem
from bridge.reconciling.thresholds import ReconcilerSettings
from streams.bus import clock
from streams.jobs import dispatching

AT_A_TIME = 1_000


def missing_retries(connection: Connection, settings: ReconcilerSettings) -> Iterator[Problem]:
    """Those that are too late. A task that has ended otherwise meanwhile (revoked, say) is no longer waited for."""
    latest = clock.now_ms() - settings.retry_grace_seconds * 1000
    keys = connection.keys
    rows: Any = connection.client.zrangebyscore(keys.retrying_jobs, "-inf", latest, start=0, num=AT_A_TIME, withscores=True)
    for member, due in rows:
        publish = str(member)
        ledger: Any = connection.client.hmget(keys.job(publish), ["task_id", "lineage", "retries", "ctx"])
        task_id, lineage, retries, context = ledger
        if task_id is None:
            connection.client.zrem(keys.retrying_jobs, publish)
            continue
        stored = stored_states(connection.app.backend, [str(task_id)])[0]
        if stored in states.READY_STATES and not ignores_result(str(context)):
            connection.call(dispatching.retry_ended(keys, parent=publish, task_id=str(task_id), state=stored))
            continue
        late = (clock.now_ms() - float(due)) / 60_000
        why = f"its retry {int(str(retries)) + 1} was due {late:.0f} min ago, and no Celery worker has been given it: the broker lost it, or none is there"
        fix = partial(_send, connection, publish, str(lineage), str(task_id), str(context))
        yield Problem(Kind.RETRY_WITHOUT_CHILD, f"task {task_id}", why, "send the retry again; should both arrive, the second is a duplicate", fix)


def _send(connection: Connection, publish: str, lineage: str, task_id: str, context: str) -> str:
    """With the same publish id as the lost one: derived from its parent."""
    with identity.running(identity.CurrentRun(publish, lineage, 0, task_id)):
        send_retry(connection.app, loads(context))
    return "its retry is sent again"
