"""What Celery doesn't promise to keep is touched here, and in `bridge.result_backends`. Read and tried against celery 5.7.0.

- `rebuild_request`, `trace`: a request made again from what dispatch remembered, run through Celery's own tracer (resume by tracing).
- `fail_chain`: the rest of a chain whose head was revoked; Celery itself leaves it PENDING.
"""

from __future__ import annotations

import sys
from typing import Any

import redis
from celery import Celery, Task, states
from celery.app.trace import build_tracer
from celery.backends.base import Backend
from celery.backends.redis import RedisBackend
from celery.events.event import Event
from celery.exceptions import BackendError, ImproperlyConfigured, TaskRevokedError
from celery.worker.request import Request
from kombu.exceptions import OperationalError

from streams.bus.clients import is_passing

DISPATCH_SECONDS = 3600.0
"""A dispatch takes milliseconds, and at most the patience with a server that is away; this only ends one that is stuck."""
_EMBEDDED = ("callbacks", "errbacks", "chain", "chord")
_NOT_CONTEXT = frozenset({"called_directly", "_protected", "_children", "loglevel", "logfile", "time_limit", "soft_time_limit"})


# ---------------------------------------------------------------------------------------------------------------------------- result backend


class Interrupted(BaseException):
    """A server went away while a result was being resolved: that is no outcome of the task. A BaseException, or the tracer would make it one."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def is_server_away(error: BaseException | None) -> bool:
    """Whether the absence of the broker, of a Redis server or of the result backend's database is all that is wrong."""
    return isinstance(error, OperationalError) or (error is not None and (is_passing(error) or _is_database_away(error)))


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


# ------------------------------------------------------------------------------------------------------------------------------------ requests


def context_of(request: Any) -> dict[str, Any]:
    """What of a task's request must be kept to resume it later: everything but the worker's own."""
    return {key: value for key, value in vars(request).items() if key not in _NOT_CONTEXT}


class _Message:
    """The few attributes that Celery's `Request` reads from a kombu message."""

    content_type = content_encoding = None

    def __init__(self, headers: dict[str, Any], payload: Any, properties: dict[str, Any], delivery_info: dict[str, Any]) -> None:
        self.headers, self.payload, self.body = headers, payload, payload
        self.properties, self.delivery_info = properties, delivery_info


class DispatchRequest(Request):
    """A bridged task's request in a Celery worker. Its time limits are the job's, whose worker keeps them; Celery's pool would kill the dispatch by them,
    and write a FAILURE past the fence while the job goes on.
    """

    @property
    def time_limits(self) -> tuple[float, float]:
        return (DISPATCH_SECONDS, DISPATCH_SECONDS)

    @time_limits.setter
    def time_limits(self, limits: Any) -> None:
        """Set by Celery from the message, where dispatch reads them."""


class _RemoteEvents:
    """An event dispatcher whose events carry the stream worker's host name and pid."""

    def __init__(self, dispatcher: Any, hostname: str, pid: int | None) -> None:
        self._dispatcher, self._hostname, self._pid = dispatcher, hostname, pid

    @property
    def enabled(self) -> bool:
        return bool(self._dispatcher.enabled)

    def send(self, type: str, **fields: Any) -> Any:  # noqa: A002 - Celery's name
        return self._dispatcher.send(type, Event=self._event, **fields)

    def _event(self, type: str, hostname: str | None = None, **fields: Any) -> Any:  # noqa: A002, ARG002 - Celery's name; the host is ours
        if self._pid is not None:
            fields["pid"] = self._pid
        return Event(type, hostname=self._hostname, **fields)


def rebuild_request(app: Celery, context: dict[str, Any], *, hostname: str, pid: int | None = None, dispatcher: Any = None) -> Request:
    """The request that dispatch remembered, as if its task had just run on `hostname`."""
    context = dict(context)
    args, kwargs = context.pop("args"), context.pop("kwargs")
    embedded = {name: context.pop(name, None) for name in _EMBEDDED}
    delivery_info = dict(context.pop("delivery_info", None) or {})
    # Never redelivered=True: Celery would skip a task whose SUCCESS is stored, and lose its chord part.
    delivery_info["redelivered"] = False
    properties = dict(context.pop("properties", None) or {})
    # Not None, or Celery gathers everything it doesn't know into the headers of a retry.
    context["headers"] = context.get("headers") or {}
    body = (args, kwargs, embedded)
    request = Request(
        _Message(context, body, properties, delivery_info),
        hostname=hostname,
        eventer=_RemoteEvents(dispatcher, hostname, pid) if dispatcher is not None else None,
        app=app,
        headers=context,
        body=body,
        decoded=True,
        task=app.tasks[context["task"]],
    )
    request.expires = None  # it was taken up in time; a retry still sees the context's
    request.acknowledged = True  # its broker message was, at dispatch
    return request


def trace(app: Celery, request: Request) -> tuple[bool, Any, float]:
    """Run Celery's own tracer on a request: `(failed, return value or exception info, seconds)`.

    Raises:
        Exception: a server went away meanwhile (see `is_server_away`), or the message of a retry couldn't be sent: the task has no outcome yet.
    """
    task: Task = request.task
    if task.__trace__ is None:
        task.__trace__ = build_tracer(task.name, task, app.loader, request.hostname, app=app)
    fields = dict(request.request_dict)
    args, kwargs, embedded = request.args, request.kwargs, request._payload[2]
    fields.update(embedded, args=args, kwargs=kwargs, hostname=request.hostname, is_eager=False)
    try:
        retval, info, seconds, text = task.__trace__(request.id, args, kwargs, fields)
    except Interrupted as exc:
        raise exc.error from None
    if info and info.state == states.REJECTED:  # what Task.retry raises then
        raise info.retval.reason if isinstance(info.retval.reason, Exception) else info.retval
    return (True, retval, seconds or 0.0) if info else (False, text, seconds or 0.0)


def announce_revoked(request: Request, *, expired: bool) -> None:
    """REVOKED for a job that was cancelled while it ran, or had expired: state, event, signal, chord part and chain."""
    reason = "expired" if expired else "terminated"
    request._announce_revoked(reason, not expired, None if expired else "SIGTERM", expired)
    if request._context.chain:
        request.app.backend._fail_chain(request._context.chain, TaskRevokedError(reason), state=states.REVOKED)
