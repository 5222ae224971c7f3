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
SENT_AGAIN = "retry_sent_again"
"""Field of the parent's ledger: how often."""
LONGEST_SECONDS = 86_400.0


def missing_retries(connection: Connection, settings: ReconcilerSettings) -> Iterator[Problem]:
    """Those that are too late. A task that has ended otherwise meanwhile (revoked, say) is no longer waited for."""
    latest = clock.now_ms() - settings.retry_grace_seconds * 1000
    keys = connection.keys
    rows: Any = connection.client.zrangebyscore(keys.retrying_jobs, "-inf", latest, start=0, num=AT_A_TIME, withscores=True)
    for member, due in rows:
        publish = str(member)
        ledger: Any = connection.client.hmget(keys.job(publish), ["task_id", "lineage", "retries", "ctx", SENT_AGAIN])
        task_id, lineage, retries, context, sent_again = ledger
        if task_id is None:
            connection.client.zrem(keys.retrying_jobs, publish)
            continue
        stored = stored_states(connection.app.backend, [str(task_id)])[0]
        if stored in states.READY_STATES and not ignores_result(str(context)):
            connection.call(dispatching.retry_ended(keys, parent=publish, task_id=str(task_id), state=stored))
            continue
        late = (clock.now_ms() - float(due)) / 60_000
        expected = f"was sent again {sent_again} times, and expected" if sent_again else "was due"
        why = f"its retry {int(str(retries)) + 1} {expected} {late:.0f} min ago; no Celery worker has been given it: the broker lost it, or none is there"
        fix = partial(_send, connection, publish, str(lineage), str(task_id), str(context), settings.retry_grace_seconds)
        yield Problem(Kind.RETRY_WITHOUT_CHILD, f"task {task_id}", why, "send the retry again; should both arrive, the second is a duplicate", fix)


def _send(connection: Connection, publish: str, lineage: str, task_id: str, context: str, grace_seconds: float) -> str:
    """With the same publish id as the lost one: derived from its parent. It is looked for again later, and then later still: while no Celery worker is there, or
    a backlog is full, each message would only be one more of the same.
    """
    with identity.running(identity.CurrentRun(publish, lineage, 0, task_id)):
        send_retry(connection.app, loads(context))
    keys = connection.keys
    times = connection.client.hincrby(keys.job(publish), SENT_AGAIN, 1)
    wait = min(LONGEST_SECONDS, max(grace_seconds, 1.0) * 2 ** min(times, 20))
    connection.client.zadd(keys.retrying_jobs, {publish: clock.now_ms() + int((wait - grace_seconds) * 1000)}, xx=True)
    return f"its retry is sent again, and looked for again in {wait / 60:.0f} min"
