"""Jobs that have ended, newest first: what the ledger keeps of each, and the result as long as Celery keeps that.

Only the last 10,000 publishes that ended are listed (`CLOSED_LISTED`), each for as long as its ledger is kept (BRIDGE_TOMBSTONE_DAYS). Read a page at a time, in four
round trips: whoever wants the newest twenty reads no ten thousand results.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import orjson
from celery import Celery, states
from celery.backends.redis import RedisBackend
from kombu.utils.json import loads
from pydantic import BaseModel, ConfigDict

from bridge.connection import Connection
from bridge.errors import RemoteError

PAGE: Final = 500
NOT_AN_END: Final = frozenset({states.RETRY, "REDRIVEN"})
"""Outcomes of a publish after which its task goes on."""
ARGUMENT: Final = "args."


class EndedJob(BaseModel):
    """One job that has ended."""

    model_config = ConfigDict(frozen=True)

    task_id: str
    task: str | None
    """Its name; None when neither the result nor the ledger knows it any more."""
    service: str
    state: str
    finished_at: datetime
    dispatched_at: datetime | None = None
    waited_seconds: float | None = None
    """From dispatch to the first start."""
    ran_seconds: float | None = None
    """Of the last delivery."""
    worker: str | None = None
    attempt: int = 0
    values: dict[str, Any] = {}
    """The columns that its task declares (`StreamTask.history`)."""
    error: str | None = None
    """What it failed with, in a line."""


def ended_jobs(connection: Connection, *, since: datetime | None = None) -> Iterator[EndedJob]:
    """The jobs that ended, newest first.

    Args:
        connection: of the app.
        since: only those that ended after that.
    """
    client, closed = connection.client, connection.keys.closed_jobs
    oldest: Any = "-inf" if since is None else since.timestamp() * 1000
    # By rank: what ends meanwhile shifts a page, so that a job may come twice, and none is left out.
    seen: set[str] = set()
    start = 0
    while page := [str(publish) for publish in client.zrevrangebyscore(closed, "+inf", oldest, start=start, num=PAGE)]:
        start += len(page)
        fresh = [publish for publish in page if publish not in seen]
        seen.update(fresh)
        yield from _page(connection, fresh)


def columns(app: Celery) -> dict[str, str]:
    """Every column that some task of the app declares, and the path of it."""
    app.loader.import_default_modules()  # as a worker does: a command line knows only what the app's own module imports
    return {name: path for task in app.tasks.values() for name, path in getattr(task, "history", {}).items()}


def _page(connection: Connection, publishes: list[str]) -> Iterator[EndedJob]:
    keys = connection.keys
    with connection.client.pipeline(transaction=False) as pipe:
        for publish in publishes:
            pipe.hmget(keys.job(publish), ["task_id", "seq", "outcome", "closed_at", "dispatched_at", "service", "retries"])
        ledgers = [(publish, *row) for publish, row in zip(publishes, pipe.execute(), strict=True)]
    ended = [row for row in ledgers if row[1] is not None and row[3] is not None and row[3] not in NOT_AN_END]
    with connection.client.pipeline(transaction=False) as pipe:
        for publish, task_id, *_, service, _retries in ended:
            pipe.hget(keys.task(task_id), "seq")
            pipe.hmget(keys.run(service, publish), ["first_started_at", "started_at", "worker"])
        runs = pipe.execute()
    metas = _metas(connection.app, [row[1] for row in ended])
    unknown = [publish for (publish, *_), meta in zip(ended, metas, strict=True) if "name" not in meta]
    contexts = _contexts(connection, unknown)
    for row, newest, run, meta in zip(ended, runs[::2], runs[1::2], metas, strict=True):
        # Of a task id that was sent twice, the result is the last one's.
        belongs = newest is None or str(newest) == str(row[2])
        yield _job(connection.app, row, run, meta if belongs else {}, contexts.get(row[0], {}))


def _job(app: Celery, row: tuple[Any, ...], run: list[Any], meta: Mapping[str, Any], context: Mapping[str, Any]) -> EndedJob:
    _, task_id, _, outcome, closed_at, dispatched_at, service, retries = row
    name = meta.get("name") or context.get("task")
    finished, dispatched = _of_ms(closed_at), _of_ms(dispatched_at) if dispatched_at else None
    first, started = (datetime.fromisoformat(value) if value else None for value in run[:2])
    result = meta.get("result")
    failed = outcome != states.SUCCESS
    return EndedJob(
        task_id=task_id,
        task=name,
        service=service,
        state=outcome,
        finished_at=finished,
        dispatched_at=dispatched,
        waited_seconds=max(0.0, (first - dispatched).total_seconds()) if first and dispatched else None,
        ran_seconds=max(0.0, (finished - started).total_seconds()) if started else None,
        worker=run[2] or None,
        attempt=int(retries or 0),
        values=_values(app.tasks.get(name or ""), None if failed else result, meta if "args" in meta else context),
        error=_error(result) if failed and result is not None else None,
    )


def _values(task: Any, result: Any, call: Mapping[str, Any]) -> dict[str, Any]:
    arguments = _arguments(task, call)
    return {
        name: _at(arguments, path.removeprefix(ARGUMENT)) if path.startswith(ARGUMENT) else _at(result, path)
        for name, path in getattr(task, "history", {}).items()
    }


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _arguments(task: Any, call: Mapping[str, Any]) -> dict[str, Any]:
    if task is None:
        return {}
    args, kwargs = call.get("args") or (), call.get("kwargs") or {}
    named = dict(zip(_parameters(task.build_payload), args, strict=False)) if isinstance(args, list | tuple) else {}
    return named | (dict(kwargs) if isinstance(kwargs, Mapping) else {})


@cache
def _parameters(function: Any) -> tuple[str, ...]:
    return tuple(name for name in inspect.signature(function).parameters if name != "self")


def _error(result: Any) -> str:
    """Celery stores an exception as its type, module and arguments."""
    if not isinstance(result, Mapping) or "exc_type" not in result:
        return str(result)
    message = result.get("exc_message")
    words = ": ".join(map(str, message)) if isinstance(message, list | tuple) else str(message)
    return words if result["exc_type"] == RemoteError.__name__ else f"{result['exc_type']}: {words}"  # it names the remote type itself


def _metas(app: Celery, task_ids: list[str]) -> list[dict[str, Any]]:
    """What Celery keeps of each task: raw, so that no exception is made again from what a worker sent. Empty when it is gone."""
    backend = app.backend
    if not task_ids:
        return []
    if not isinstance(backend, RedisBackend):
        return [_without_error(backend.get_task_meta(task_id, cache=False)) for task_id in task_ids]
    values = backend.client.mget([backend.get_key_for_task(task_id) for task_id in task_ids])
    return [_read(backend, value) if value else {} for value in values]


def _read(backend: RedisBackend, value: Any) -> dict[str, Any]:
    try:
        found = orjson.loads(value)  # ten times as fast as kombu's, which looks for types of its own; none of them is in a bridged result
    except orjson.JSONDecodeError:  # another serializer
        found = backend.decode(value)
    return dict(found)


def _without_error(meta: Mapping[str, Any]) -> dict[str, Any]:
    result = meta.get("result")
    if isinstance(result, BaseException):
        result = f"{type(result).__name__}: {result}"
    return {**meta, "result": result} if meta.get("status") != states.PENDING else {}


def _contexts(connection: Connection, publishes: list[str]) -> dict[str, dict[str, Any]]:
    """What the ledger remembers of jobs whose result is gone, or doesn't name its task: it may be long, so the others' isn't read."""
    with connection.client.pipeline(transaction=False) as pipe:
        for publish in publishes:
            pipe.hget(connection.keys.job(publish), "ctx")
        found = pipe.execute() if publishes else []
    return {publish: _read_context(context) for publish, context in zip(publishes, found, strict=True) if context}


def _read_context(context: Any) -> dict[str, Any]:
    try:
        return dict(loads(context))
    except ValueError:  # a later version's
        return {}


def _of_ms(value: Any) -> datetime:
    return datetime.fromtimestamp(float(value) / 1000, UTC)
