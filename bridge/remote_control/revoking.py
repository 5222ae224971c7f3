"""Celery's `revoke` reaches jobs: one that waits on a stream never starts, and with `terminate` a running one is stopped.

Imported by every node of a connected app, bridges and Celery workers: so a revoke counts while no bridge is up. Twice does no harm.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import redis
from celery.utils.functional import maybe_list
from celery.worker import state as worker_state
from celery.worker.control import Panel, control_command
from kombu.utils.json import loads

from bridge.celery_internals.revoked import signal_number
from bridge.connection import Connection
from bridge.remote_control.open_jobs import open_jobs, parked_jobs
from streams.errors import FunctionLibraryMissing
from streams.jobs.cancelling import cancel_task

logger = logging.getLogger(__name__)

_celerys: Final = {name: Panel.data[name] for name in ("revoke", "revoke_by_stamped_headers")}


@control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(state: Any, task_id: Any, terminate: bool = False, signal: str | None = None, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Celery's signature
    """Revoke task by task id (or list of ids): a job that waits on a stream never starts; with terminate a running one is stopped."""
    task_ids = [str(each) for each in maybe_list(task_id) or []]
    connection = _connection_of(state.app)
    if connection is None:
        return _celerys["revoke"](state, task_id, terminate=terminate, signal=signal, **kwargs)
    answers: dict[str, str] = {}
    with _server_may_be_away():
        answers = _cancel(connection, task_ids, waiting_only=not terminate, signal=signal)
    # Celery's command stores REVOKED for a task that another node runs, unless that is marked as started. A bridge runs no tasks, and an open job's end is
    # the bridge's to write.
    left = [] if connection.is_bridge else [each for each in task_ids if not {"accepted", "running"} & set(answers.get(each, "").split(", "))]
    worker_state.revoked.update(task_ids)  # also for workers that start later, and ask their neighbours
    if not left:
        return {"ok": f"tasks {', '.join(task_ids)} flagged as revoked; jobs: {answers}"}
    reply = _celerys["revoke"](state, left, terminate=terminate, signal=signal, **kwargs)
    return {"ok": f"{reply['ok']}; jobs: {answers}"} if answers and isinstance(reply, dict) and "ok" in reply else reply


@control_command(name="terminate", variadic="task_id", args=[("signal", str)], signature="<signal> [id1 [id2 [... [idN]]]]")
def terminate(state: Any, signal: str, task_id: Any, **kwargs: Any) -> Any:
    """Terminate task by task id (or list of ids); the same as revoke with terminate."""
    return revoke(state, task_id, terminate=True, signal=signal, **kwargs)


@control_command(name="revoke_by_stamped_headers", variadic="headers", signature="[key1=value1 [key2=value2 [... [keyN=valueN]]]]")
def revoke_by_stamped_headers(state: Any, headers: Any, terminate: bool = False, signal: str | None = None, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Celery's signature
    """Revoke the tasks with one of these stamps: jobs that wait on a stream never start; with terminate running ones are stopped."""
    connection, answers = _connection_of(state.app), {}
    if connection is not None:
        wanted = dict(each.split("=", 1) for each in headers) if isinstance(headers, list) else dict(headers)
        with _server_may_be_away():
            jobs = [(job.task_id, job.context) for job in open_jobs(connection)] + parked_jobs(connection)
            stamped = [task_id for task_id, context in jobs if _is_stamped(loads(context), wanted)]
            answers = _cancel(connection, stamped, waiting_only=not terminate, signal=signal)
    reply = _celerys["revoke_by_stamped_headers"](state, headers, terminate=terminate, signal=signal, **kwargs)
    return {"ok": f"{reply['ok']}; jobs: {answers}"} if answers and isinstance(reply, dict) and "ok" in reply else reply


def _connection_of(app: Any) -> Connection | None:
    """None of an app that isn't connected: this process may have one, too."""
    return getattr(app, "streams_connection", None)


@contextmanager
def _server_may_be_away() -> Iterator[None]:
    """Ordinary tasks are revoked all the same."""
    try:
        yield
    except (redis.RedisError, OSError, FunctionLibraryMissing) as exc:
        logger.error("revoke doesn't reach the jobs of stream workers, it has to be sent again: %s: %s", type(exc).__name__, exc)  # noqa: TRY400


def _cancel(connection: Connection, task_ids: Iterable[str], *, waiting_only: bool, signal: str | None) -> dict[str, str]:
    """R10 for each; what became of it, by task id: accepted, too late, or running (and left alone)."""
    answers: dict[str, str] = {}
    for each in task_ids:
        told = cancel_task(connection.client, connection.keys, each, waiting_only=waiting_only, signum=signal_number(signal))
        logger.info("revoke %s%s: %s", each, "" if waiting_only else " (terminate)", ", ".join(told.values()) or "no job of it is known yet")
        if told:
            answers[each] = ", ".join(told.values())
    return answers


def _is_stamped(context: dict[str, Any], wanted: dict[str, Any]) -> bool:
    stamps = context.get("stamps") or {}
    return any(set(maybe_list(stamps.get(name)) or []) & set(maybe_list(values) or []) for name, values in wanted.items())
