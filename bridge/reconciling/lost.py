"""Tasks that wait for ever, as the streams' server knows nothing of them: it was flushed, or a failover brought an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from celery import states

from bridge.celery_internals.backends import is_redis
from bridge.celery_internals.dispatching import TwoPhaseTask
from bridge.celery_internals.servers import redis_of_backend
from bridge.connection import Connection
from bridge.reconciling.problems import Kind, Problem
from bridge.reconciling.thresholds import ReconcilerSettings
from bridge.states import DEAD_LETTERED, DISPATCHED, PROGRESS

OURS = frozenset({DISPATCHED, PROGRESS, DEAD_LETTERED})
"""Nobody else has these states."""
PAGE = 1_000


def tasks_without_ledger(connection: Connection, _: ReconcilerSettings) -> Iterator[Problem]:
    """Looks through every result of a Redis result backend; of another one nothing is known. Slow with many results, so only when somebody asks."""
    app = connection.app
    if not is_redis(type(app.backend)):
        return
    client = redis_of_backend(app.backend)
    page: list[Any] = []
    for key in client.scan_iter(match=app.backend.get_key_for_task("*"), count=PAGE):
        page.append(key)
        if len(page) == PAGE:
            yield from _of_page(connection, client, page)
            page = []
    yield from _of_page(connection, client, page)


def _of_page(connection: Connection, client: Any, keys: list[Any]) -> Iterator[Problem]:
    metas = [connection.app.backend.decode_result(value) for value in (client.mget(keys) if keys else ()) if value]
    open_ones = [meta for meta in metas if _is_open_and_ours(connection, meta)]
    with connection.client.pipeline(transaction=False) as pipe:
        for meta in open_ones:
            pipe.exists(connection.keys.task(meta["task_id"]))
        known = pipe.execute()
    for meta, is_known in zip(open_ones, known, strict=True):
        if not is_known:
            why = f"its state is {meta['status']}, and the streams' server knows nothing of it: was it flushed, or did a failover bring an empty one?"
            yield Problem(Kind.JOB_LOST, f"task {meta['task_id']}", why, "nobody will finish it: send it anew, and revoke this id for those who wait")


def _is_open_and_ours(connection: Connection, meta: dict[str, Any]) -> bool:
    status = meta.get("status")
    return status in OURS or (status == states.STARTED and isinstance(connection.app.tasks.get(meta.get("name")), TwoPhaseTask))
