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

OURS = frozenset({DISPATCHED, DEAD_LETTERED})
"""Nobody else has these states. PROGRESS many have: it is the example of Celery's own documentation."""
PAGE = 200
"""Results may be large."""


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
    metas = [meta for value in (client.mget(keys) if keys else ()) if value and (meta := _decoded(connection, value)) is not None]
    open_ones = [meta for meta in metas if meta.get("status") in OURS or meta.get("status") in {states.STARTED, PROGRESS}]
    with client.pipeline(transaction=False) as pipe:
        for meta in open_ones:
            pipe.exists(connection.keys.mark(meta["task_id"]))
        marked = pipe.execute() if open_ones else []
    with connection.client.pipeline(transaction=False) as pipe:
        for meta in open_ones:
            pipe.exists(connection.keys.task(meta["task_id"]))
        known = pipe.execute() if open_ones else []
    for meta, has_mark, is_known in zip(open_ones, marked, known, strict=True):
        if not is_known and (meta["status"] in OURS or has_mark or _is_bridged(connection, meta)):
            why = f"its state is {meta['status']}, and the streams' server knows nothing of it: was it flushed, or did a failover bring an empty one?"
            yield Problem(Kind.JOB_LOST, f"task {meta['task_id']}", why, "nobody will finish it: send it anew, and revoke this id for those who wait")


def _decoded(connection: Connection, value: Any) -> dict[str, Any] | None:
    """None for what isn't a result that this app can read: others may keep theirs on the same server, in another serializer."""
    try:
        meta = connection.app.backend.decode_result(value)
    except Exception:  # noqa: BLE001 - kombu's serializers raise what they like
        return None
    return meta if isinstance(meta, dict) and isinstance(meta.get("task_id"), str) else None


def _is_bridged(connection: Connection, meta: dict[str, Any]) -> bool:
    """By its name, which is there with `result_extended`. A mark (R2) says it too: no ordinary task has one."""
    return isinstance(connection.app.tasks.get(meta.get("name")), TwoPhaseTask)
