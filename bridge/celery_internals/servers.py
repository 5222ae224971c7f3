"""When only a server is away; and a result backend's own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import redis
from celery import states
from celery.app.trace import build_tracer
from celery.backends.base import Backend
from celery.backends.redis import RedisBackend
from celery.exceptions import BackendError, ImproperlyConfigured
from celery.worker.request import Request
from kombu.exceptions import OperationalError

from streams.bus.clients import is_passing

_OURS_AND_CELERYS = frozenset({"bridge", "celery", "kombu"})


class Interrupted(BaseException):
    """A server went away while a result was being resolved: that is no outcome of the task. A BaseException, or the tracer would make it one."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def is_server_away(error: BaseException | None) -> bool:
    """Whether the absence of the broker, of a Redis server or of the result backend's database is all that is wrong. What a task's own handler can't reach,
    a mail server say, is its own affair: an error like any other.
    """
    away = isinstance(error, OperationalError) or (error is not None and (is_passing(error) or _is_database_away(error)))
    return away and not _is_of_a_handler(error)


def _is_of_a_handler(error: BaseException | None) -> bool:
    """Whether the tracer called code that is neither Celery's nor ours, which raised it without Celery's help."""
    caller, of_a_handler = "", False
    frame = error.__traceback__ if error is not None else None
    while frame is not None:
        module = str(frame.tb_frame.f_globals.get("__name__"))
        if module.split(".", maxsplit=1)[0] in _OURS_AND_CELERYS:
            of_a_handler = False
        elif caller == build_tracer.__module__:
            of_a_handler = True
        caller, frame = module, frame.tb_next
    return of_a_handler


def _is_database_away(error: BaseException) -> bool:
    """Whether Celery gave up because SQLAlchemy can't reach its database: as Celery's own error, with that as its cause."""
    sql = sys.modules.get("sqlalchemy.exc")
    if sql is None or not isinstance(error, (BackendError, sql.SQLAlchemyError)):
        return False
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, (sql.OperationalError, sql.InterfaceError, sql.TimeoutError)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def redis_of_backend(backend: Backend) -> redis.Redis:
    """The client of a Redis result backend.

    Raises:
        ImproperlyConfigured: another backend.
    """
    if not isinstance(backend, RedisBackend):
        raise ImproperlyConfigured(f"{type(backend).__name__} is no Redis result backend")
    client: redis.Redis = backend.client
    return client


def result_ttl_seconds(backend: Backend, state: str) -> int:
    """How long the backend keeps a result of this state; 0 is for ever."""
    seconds = backend.failure_expires if state == states.FAILURE else backend.expires
    return int(seconds or 0)


def store_state(request: Request, state: str, meta: Any) -> None:
    """Store a state with its meta, in Celery's own form (extended, when `result_extended` is set)."""
    request.app.backend.store_result(request.id, meta, state, request=request._context)


def stored_states(backend: Backend, task_ids: Sequence[str]) -> list[str]:
    """The state of each task, PENDING where none is stored; of a Redis backend in one round trip."""
    if not isinstance(backend, RedisBackend):
        return [str(backend.get_task_meta(task_id, cache=False)["status"]) for task_id in task_ids]
    values = backend.client.mget([backend.get_key_for_task(task_id) for task_id in task_ids]) if task_ids else []
    return [str(backend.decode_result(value)["status"]) if value else str(states.PENDING) for value in values]
