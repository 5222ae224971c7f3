"""What Celery does not promise to keep is touched here, and in `bridge.result_backends`; `bridge.celery_names` lists it. Read and tried against celery 5.7.0.

- `rebuild_request`, `finish`: a request made again from what dispatch remembered, run through Celery's own tracer (resume by tracing).
- `TwoPhaseTask`, `DispatchRequest`: the tracer runs a bridged task when its outcome is known; a Celery worker only dispatches it, so that every signal,
  handler and event comes once.
- `announce_revoked`: REVOKED, as a Celery worker announces it, and the rest of a chain, which Celery itself leaves PENDING.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis
from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from celery import Celery, Task, states
from celery._state import _task_stack
from celery.app.task import Context
from celery.app.trace import build_tracer, trace_ok_t
from celery.backends.base import Backend
from celery.backends.redis import RedisBackend
from celery.events.event import Event
from celery.exceptions import BackendError, Ignore, ImproperlyConfigured, Reject, TaskRevokedError
from celery.platforms import signals as signal_numbers
from celery.result import result_from_tuple
from celery.utils.saferepr import saferepr as safe_repr
from celery.worker.request import Request
from celery.worker.state import task_ready
from kombu.exceptions import OperationalError

from bridge import identity, outcome
from bridge.remote_errors import remote_traceback
from streams.bus.clients import is_passing

logger = logging.getLogger(__name__)

DISPATCH_SECONDS = 3600.0
"""A dispatch takes milliseconds, and at most the patience with a server that is away; this only ends one that is stuck."""
_EMBEDDED = ("callbacks", "errbacks", "chain", "chord")
_CHILDREN = "_children"
_OURS_AND_CELERYS = frozenset({"bridge", "celery", "kombu"})
_NOT_CONTEXT = frozenset({"called_directly", "_protected", "_children", "loglevel", "logfile", "time_limit", "soft_time_limit"})


# ---------------------------------------------------------------------------------------------------------------------------- result backend


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


# ------------------------------------------------------------------------------------------------------------------- phase 1, in a Celery worker


class Dispatched(Ignore):
    """The command of a task is on its stream: the bridge writes its outcome."""


class SentBack(Reject):
    """It can't be dispatched now: its message goes back to the broker, and nothing has happened."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """What `Request.on_failure` reads of billiard's ExceptionInfo; crosses the pool's pipe."""

    exception: Exception
    traceback: str = ""


class TwoPhaseTask(Task):
    """A task that Celery's tracer runs when its outcome is known. A Celery worker that takes its message only calls `dispatch`."""

    abstract = True
    Request = "bridge.celery_internals:DispatchRequest"
    _tracer: Any = None

    @property
    def __trace__(self) -> Any:
        """What Celery's pool calls with a message. Celery sets it to its own tracer."""
        return None if self._tracer is None else partial(_dispatch, self, self._tracer)

    @__trace__.setter
    def __trace__(self, tracer: Any) -> None:
        self._tracer = tracer

    def dispatch(self, *args: Any, **kwargs: Any) -> None:
        """Send the job of the current message."""
        raise NotImplementedError

    def was_dispatched(self, message: Mapping[str, Any]) -> bool:
        """Whether a message, given by its headers, was dispatched before."""
        raise NotImplementedError


def _dispatch(task: TwoPhaseTask, tracer: Any, uuid: str, args: Any, kwargs: Any, request: dict[str, Any]) -> Any:
    """Dispatch a message. An error of the task's own code is its outcome, and goes through Celery's tracer like any other."""
    started = time.monotonic()
    context = Context(request or {}, args=args, kwargs=kwargs, called_directly=False)
    _task_stack.push(task)
    task.request_stack.push(context)
    try:
        ended: Exception = Dispatched()
        try:
            task.dispatch(*args, **kwargs)
        except SentBack as exc:
            ended = exc
        except Exception as exc:  # noqa: BLE001 - whatever it is, Celery's tracer judges it
            ended = _judge(task, request, exc)
    finally:
        task.request_stack.pop()
        _task_stack.pop()
    if isinstance(ended, Dispatched | SentBack):
        ended.__traceback__ = ended.__context__ = None  # its frames hold the arguments
        return trace_ok_t(_Ended(ended), ended, time.monotonic() - started, None)
    with outcome.yielding(outcome.raising(ended), task.name):
        return tracer(uuid, args, kwargs, request)


def _judge(task: TwoPhaseTask, message: Mapping[str, Any], error: Exception) -> Exception:
    """A second delivery of a message that was dispatched already changes nothing, whatever its code raises this time."""
    try:
        return Dispatched() if task.was_dispatched(message) else error
    except (redis.RedisError, OSError) as exc:
        return SentBack(f"{type(exc).__name__}: {exc}", requeue=True)


def caller_of_current_task() -> str | None:
    """Name of the task whose body has called the current one directly, as a function: Celery's `current_task` is the called one by then."""
    running = _task_stack.stack
    return str(running[-2].name) if len(running) > 1 else None


class DispatchRequest(Request):
    """A bridged task's request in a Celery worker. Its time limits are the job's, whose worker keeps them; Celery's pool would kill the dispatch by them,
    and write a FAILURE past the fence while the job goes on.
    """

    _starts = False

    @property
    def time_limits(self) -> tuple[float, float]:
        return (DISPATCH_SECONDS, DISPATCH_SECONDS)

    @time_limits.setter
    def time_limits(self, limits: Any) -> None:
        """Set by Celery from the message, where dispatch reads them."""

    def send_event(self, type: str, **fields: Any) -> None:  # noqa: A002 - Celery's name
        """A job starts on its stream worker. Only a task that ends here has started here."""
        if type == "task-started":
            self._starts = True
            return
        super().send_event(type, **fields)

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:  # noqa: FBT001, FBT002 - Celery's signature
        """Celery acknowledges after this; a dispatched task has no end yet."""
        if isinstance(exc_info.exception, Dispatched):
            task_ready(self)
            return self.acknowledge()
        if self._starts and not isinstance(exc_info.exception, SentBack):
            super().send_event("task-started")
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:  # noqa: FBT001 - Celery's signature
        """REVOKED before the dispatch. What was dispatched before, the ledger and the bridge decide about: this is a second delivery then."""
        try:
            if not self.task.was_dispatched(self.request_dict):
                super()._announce_revoked(reason, terminated, signum, expired)
                _fail_revoked_chain(self, reason)
                return
        except (redis.RedisError, OSError) as exc:
            logger.warning(
                "task %s is revoked, but whether it was dispatched can't be seen now (%s): its message goes back to the broker", self.id, exc
            )
            self.reject(requeue=True)
        else:
            logger.info("task %s was dispatched before: this second delivery of its message is only acknowledged", self.id)
            self.acknowledge()
        task_ready(self)
        self._already_revoked = True


# ----------------------------------------------------------------------------------------------------------------------- phase 2, in the bridge


def context_of(request: Any) -> dict[str, Any]:
    """What of a task's request must be kept to resume it later: everything but the worker's own."""
    context = {key: value for key, value in vars(request).items() if key not in _NOT_CONTEXT}
    return context | {_CHILDREN: [child.as_tuple() for child in request.children]}  # what the function that built the payload sent


class _Message:
    """The few attributes that Celery's `Request` reads from a kombu message."""

    content_type = content_encoding = None

    def __init__(self, headers: dict[str, Any], payload: Any, properties: dict[str, Any], delivery_info: dict[str, Any]) -> None:
        self.headers, self.payload, self.body = headers, payload, payload
        self.properties, self.delivery_info = properties, delivery_info


class RemoteEvents:
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
        eventer=RemoteEvents(dispatcher, hostname, pid) if dispatcher is not None else None,
        app=app,
        headers=context,
        body=body,
        decoded=True,
        task=app.tasks[context["task"]],
    )
    request.expires = None  # it was taken up in time; a retry still sees the context's
    request.acknowledged = True  # its broker message was, at dispatch
    return request


def finish(request: Request, body: outcome.Body, runtime: float | None) -> None:
    """Run Celery's own tracer with a body that yields a known outcome, and do what a Celery worker does with what comes of it.

    Args:
        request: made again by `rebuild_request`.
        body: of the task.
        runtime: seconds that the job took; by default those of the tracer.

    Raises:
        Exception: a server went away meanwhile (see `is_server_away`): the task has no outcome yet.
    """
    try:
        retval, info, seconds, text = _trace(request, body)
    except Exception as exc:
        if is_server_away(exc):
            raise
        request.on_failure(_unwrapped(ExceptionInfo()))  # a handler of the task's own raised it: a worker's pool reports it like that
        return
    if not info:
        request.on_success((False, text, runtime or seconds or 0.0))
        return
    if info.state == states.REJECTED and is_server_away(info.retval.reason):  # so Task.retry says that its message can't be sent
        raise info.retval.reason
    retval = _unwrapped(retval)
    retval.traceback = remote_traceback(retval.exception) or retval.traceback
    if isinstance(retval.exception, MemoryError):  # of the job's worker; Celery's request would take it for this process's
        task_ready(request)
        request.send_event("task-failed", exception=safe_repr(retval.exception), traceback=retval.traceback)
        return
    request.on_success((True, retval, runtime or seconds or 0.0))


def _unwrapped(info: Any) -> Any:
    """billiard wraps an exception with its traceback; a pool's pipe takes it out."""
    if isinstance(info.exception, ExceptionWithTraceback):
        info.exception = info.exception.exc
    return info


class _Terminated(BaseException):
    """What a body raises whose process is stopped: no outcome for the tracer."""


def terminate(request: Request, signum: int) -> None:
    """REVOKED for a job that was stopped while it ran; `before_start`, prerun and postrun come too, as of a process that ends without an outcome."""
    with contextlib.suppress(_Terminated):
        _trace(request, outcome.raising(_Terminated()))
    announce_revoked(request, "terminated", signum or signal_number(None))


def _trace(request: Request, body: outcome.Body) -> Any:
    task: TwoPhaseTask = request.task
    app = request.app
    if task._tracer is None:
        task._tracer = build_tracer(task.name, task, app.loader, request.hostname, app=app)
    fields = dict(request.request_dict)
    args, kwargs, embedded = request.args, request.kwargs, dict(request._payload[2])
    if (run := identity.current_run()) is not None:
        for name in ("callbacks", "errbacks"):
            embedded[name] = identity.with_task_ids(embedded[name], run.publish_id, name)
    fields.update({"args": args, "kwargs": kwargs, "hostname": request.hostname, "is_eager": False}, **embedded)
    fields[_CHILDREN] = [result_from_tuple(child, app=app) for child in fields.get(_CHILDREN) or ()]
    try:
        with outcome.yielding(body, task.name):
            return task._tracer(request.id, args, kwargs, fields)
    except Interrupted as exc:
        raise exc.error from None


def announce_revoked(request: Request, reason: str, signum: int | None = None) -> None:
    """REVOKED for a job that was cancelled, or had expired: state, event, signal, chord part and chain.

    Args:
        request: of the task.
        reason: `revoked`, `expired` or `terminated`.
        signum: of the signal that stopped it while it ran.
    """
    request._announce_revoked(reason, signum is not None, signum, reason == "expired")
    _fail_revoked_chain(request, reason)


def signal_number(name: str | int | None) -> int:
    """The number of a signal as `revoke` takes it, such as `KILL` or `SIGINT`; SIGTERM by default."""
    return int(signal_numbers.signum(name or "TERM"))


def _fail_revoked_chain(request: Request, reason: str) -> None:
    """The tasks after a revoked one never run. Celery leaves them PENDING."""
    if request._context.chain:
        request.app.backend._fail_chain(request._context.chain, TaskRevokedError(reason), state=states.REVOKED)
