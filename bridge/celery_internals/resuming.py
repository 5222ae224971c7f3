"""Phase 2, in the bridge: Celery's own tracer runs a task whose outcome is known (resume by tracing)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from celery import Celery, states
from celery.app.task import Context
from celery.app.trace import build_tracer
from celery.events.event import Event
from celery.result import result_from_tuple
from celery.utils.saferepr import saferepr as safe_repr
from celery.utils.time import maybe_make_aware
from celery.worker.request import Request
from celery.worker.state import task_ready

from bridge import identity, outcome
from bridge.celery_internals.dispatching import TwoPhaseTask
from bridge.celery_internals.revoked import announce_revoked, signal_number
from bridge.celery_internals.servers import Interrupted, is_server_away
from bridge.errors import UncertainOutcome
from bridge.remote_errors import remote_traceback
from streams.bus import clock

_EMBEDDED = ("callbacks", "errbacks", "chain", "chord")
_CHILDREN = "_children"
_NOT_CONTEXT = frozenset({"called_directly", "_protected", "_children", "loglevel", "logfile", "time_limit", "soft_time_limit"})


def context_of(request: Any) -> dict[str, Any]:
    """What of a task's request must be kept to resume it later: everything but the worker's own."""
    context = {key: value for key, value in vars(request).items() if key not in _NOT_CONTEXT}
    return context | {_CHILDREN: [child.as_tuple() for child in request.children]}  # what the function that built the payload sent


def send_retry(app: Celery, context: dict[str, Any]) -> None:
    """Send the retry of a task once more, at once, whose first message is lost."""
    request = Context(dict(context))
    task = app.tasks[context["task"]]
    task.signature_from_request(request, countdown=0, retries=int(request.retries or 0) + 1, add_to_parent=False).apply_async()


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


@dataclass(frozen=True, slots=True)
class Finished:
    """What Celery made of an outcome."""

    state: str
    retry_due_ms: int = 0
    """When its retry is to come, since the epoch; 0 without one."""


def finish(request: Request, body: outcome.Body, runtime: float | None) -> Finished:
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
        return Finished(states.FAILURE)
    if not info:
        request.on_success((False, text, runtime or seconds or 0.0))
        return Finished(states.SUCCESS)
    if info.state == states.REJECTED and is_server_away(info.retval.reason):  # so Task.retry says that its message can't be sent
        raise info.retval.reason
    retval = _unwrapped(retval)
    retval.traceback = remote_traceback(retval.exception) or retval.traceback
    if isinstance(retval.exception, MemoryError):  # of the job's worker; Celery's request would take it for this process's
        task_ready(request)
        request.send_event("task-failed", exception=safe_repr(retval.exception), traceback=retval.traceback)
    else:
        request.on_success((True, retval, runtime or seconds or 0.0))
    return Finished(str(info.state), _due_ms(retval.exception) if info.state == states.RETRY else 0)


def _due_ms(retry: Any) -> int:
    """When the retry comes that a `celery.exceptions.Retry` announces."""
    when = getattr(retry, "when", None)
    if isinstance(when, datetime):
        return int(maybe_make_aware(when, UTC).timestamp() * 1000)
    return clock.now_ms() + int(float(when or 0) * 1000)


def would_retry(request: Request, error: BaseException) -> bool:
    """Whether Celery would retry the task by itself (`autoretry_for`), were this its error."""
    task = request.task
    if (
        isinstance(error, UncertainOutcome)
        or not isinstance(error, tuple(getattr(task, "autoretry_for", None) or ()))
        or isinstance(error, tuple(getattr(task, "dont_autoretry_for", None) or ()))
    ):
        return False
    most = getattr(task, "retry_kwargs", {}).get("max_retries", task.max_retries)
    return most is None or int(request.request_dict.get("retries") or 0) < most


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
