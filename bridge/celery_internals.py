"""The one module that touches what Celery doesn't promise to keep. Read and tried against celery 5.7.0.

- `fence_backend`: a subclass of the app's result backend whose writes for bridged tasks go through `put_state` (protocol R2), because Celery's
  tracer stores states by itself, and only SUCCESS is sticky there.
- `rebuild_request`, `trace`: a request made again from what dispatch remembered, run through Celery's own tracer (resume by tracing).
- `fail_chain`: the rest of a chain whose head was revoked; Celery itself leaves it PENDING.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import redis
from celery import Celery, Task, states
from celery.app.trace import build_tracer
from celery.backends.base import Backend
from celery.backends.redis import RedisBackend
from celery.events.event import Event
from celery.exceptions import ImproperlyConfigured, TaskRevokedError
from celery.worker.request import Request
from kombu.exceptions import OperationalError

from bridge import identity
from streams.bus.clients import is_passing

StatePut = Callable[["Backend", str, str, str], None]
"""`(backend, key of the result, encoded meta, state)`."""

DISPATCH_SECONDS = 3600.0
"""A dispatch takes milliseconds, and at most the patience with a server that is away; this only ends one that is stuck."""
_EMBEDDED = ("callbacks", "errbacks", "chain", "chord")
_NOT_CONTEXT = frozenset({"called_directly", "_protected", "_children", "loglevel", "logfile", "time_limit", "soft_time_limit"})


# ---------------------------------------------------------------------------------------------------------------------------- result backend


def fence_backend(app: Celery, put: StatePut) -> None:
    """Let every state that is stored for a bridged task's run pass through `put`."""
    make = app._get_backend

    def make_fenced() -> Backend:
        backend = make()
        backend.__class__ = _fenced(type(backend), put)
        return backend

    app._get_backend = make_fenced
    if app._backend is not None:
        app._backend.__class__ = _fenced(type(app._backend), put)


class Interrupted(BaseException):
    """A server went away while a result was being resolved: that is no outcome of the task. A BaseException, or the tracer would make it one."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


def is_server_away(error: BaseException | None) -> bool:
    """Whether the broker's or a Redis server's absence is all that is wrong."""
    return isinstance(error, OperationalError) or (error is not None and is_passing(error))


def _fenced(base: type[Backend], put: StatePut) -> type[Backend]:
    class FencedBackend(base):
        def _set_with_state(self, key: Any, value: Any, state: str) -> Any:
            run = identity.current_run()
            if run is None or key != self.get_key_for_task(run.task_id):
                return super()._set_with_state(key, value, state)
            return put(self, key, value, state)

        def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> Any:
            with identity.completing_chord(str(request.group)):
                super().on_chord_part_return(request, state, result, **kwargs)
            run = identity.current_run()
            if run is not None and run.replay and request.group:
                run.chord_claimed = _chord_is_claimed(self, request.group)

        def mark_as_failure(self, task_id: str, exc: Any, *args: Any, **kwargs: Any) -> Any:
            # The tracer calls this too when SUCCESS can't be stored, or a link can't be sent.
            run = identity.current_run()
            if run is not None and run.task_id == task_id and is_server_away(exc):
                raise Interrupted(exc)
            return super().mark_as_failure(task_id, exc, *args, **kwargs)

        def chord_error_from_stack(self, callback: Any, exc: Any = None) -> Any:
            # The same when a chord's body can't be sent. Without its claim Celery keeps the chord, and the part may be counted again.
            error, group_id = sys.exc_info()[1], identity.current_chord()
            if identity.current_run() is not None and error is not None and group_id is not None and is_server_away(error):
                redis_of_backend(self).delete(self.get_key_for_group(group_id, ".c"))
                raise Interrupted(error)
            return super().chord_error_from_stack(callback, exc)

    FencedBackend.__name__ = FencedBackend.__qualname__ = f"Fenced{base.__name__}"
    return FencedBackend


def _chord_is_claimed(backend: Backend, group_id: str) -> bool:
    """Whether somebody, alive or dead, holds the claim to send the body of a chord, and hasn't sent it.

    Celery lets the claim of a dead one stand for some 20 s (its budget to publish the body), and ignores parts that return meanwhile.
    """
    client = redis_of_backend(backend)
    size, claim = client.mget(backend.get_key_for_group(group_id, ".s"), backend.get_key_for_group(group_id, ".c"))
    return size is not None and claim not in {None, b"done"}


def redis_of_backend(backend: Backend) -> redis.Redis:
    """The client of a Redis result backend.

    Raises:
        ImproperlyConfigured: another backend; R2 needs a compare-and-set, which is a Redis Function here.
    """
    if not isinstance(backend, RedisBackend):
        raise ImproperlyConfigured(f"bridged tasks need a Redis result backend, not {type(backend).__name__}: set result_backend to a redis:// URL")
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
