"""Writes down each signal and handler call of the tasks under test, in whatever process it happens, to one Redis list.

Signals are recorded for every task, handlers for those whose base is `Recorded`. Only what is told is written; what it means is `trace`'s business.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from typing import Any

import redis
from billiard.einfo import ExceptionWithTraceback
from celery import signals
from celery.exceptions import Retry

from streams.bus.clients import connect as connect_redis

LIST = "fidelity:trace"
PREFIXES = ("native.", "bridged.", "common.")

url: str = ""
"""Of the server; set by whoever is no process of the stack, else REDIS_URL."""
_clients: dict[int, redis.Redis] = {}


def record(kind: str, task_id: str | None, *, attempt: Any = None, **fields: Any) -> None:
    """Append a line.

    Args:
        kind: of what happened.
        task_id: to whom.
        attempt: its task's request, if it was being executed: the lines of two attempts may come mixed, as the next is sent before the last has ended.
        fields: what was told.
    """
    pid = os.getpid()
    if attempt is not None:
        fields["attempt"] = f"{attempt.retries or 0}:{pid}:{threading.get_ident()}"
    client = _clients.get(pid)
    if client is None:
        client = _clients[pid] = connect_redis(url or os.environ["REDIS_URL"])
    client.rpush(LIST, json.dumps({"kind": kind, "id": task_id, **{name: plain(value) for name, value in fields.items()}}))


def plain(value: Any) -> Any:
    """As JSON can hold it; an exception is its type and what it says."""
    if isinstance(value, ExceptionWithTraceback):
        return {"with traceback": plain(value.exc)}
    if isinstance(value, Retry):
        return {"error": "Retry", "says": str(value.exc or value.message), "countdown": isinstance(value.when, int | float)}
    if isinstance(value, BaseException):
        return {"error": type(value).__qualname__, "says": str(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)


class Recorded:
    """Handlers that say they were called, and with what."""

    request: Any

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        record("before_start", task_id, attempt=self.request, args=args, kwargs=kwargs)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        record("on_success", task_id, attempt=self.request, retval=retval, args=args, kwargs=kwargs)

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        record("on_failure", task_id, attempt=self.request, exc=exc, args=args, kwargs=kwargs, einfo=einfo.exception, traceback=bool(einfo.traceback))

    def on_retry(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        record("on_retry", task_id, attempt=self.request, exc=exc, args=args, kwargs=kwargs, einfo=einfo.exception, traceback=bool(einfo.traceback))

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        record("after_return", task_id, attempt=self.request, status=status, retval=retval, args=args, kwargs=kwargs, einfo=einfo)


def _ours(sender: Any) -> bool:
    name = sender if isinstance(sender, str) else getattr(sender, "name", "")
    return bool(name) and name.startswith(PREFIXES)


def _before_publish(
    sender: Any = None,
    headers: dict[str, Any] | None = None,
    body: Any = None,
    properties: Any = None,
    routing_key: Any = None,
    retry_policy: Any = None,
    **_: Any,
) -> None:
    if headers and _ours(sender):
        told = {name: value for name, value in (properties or {}).items() if name in {"priority", "correlation_id"}}
        args, kwargs, embed = body
        record(
            "publish",
            headers["id"],
            headers=headers,
            args=args,
            kwargs=kwargs,
            embed=embed,
            properties=told,
            routing_key=routing_key,
            retry_policy=retry_policy,
        )


def _after_publish(sender: Any = None, headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers and _ours(sender):
        record("published", headers["id"])


def _received(sender: Any = None, request: Any = None, **_: Any) -> None:
    if _ours(request.name):
        record("received", request.id)


def _prerun(sender: Any = None, task_id: str = "", args: Any = None, kwargs: Any = None, **_: Any) -> None:
    if _ours(sender):
        record("prerun", task_id, attempt=sender.request, task=sender.name, args=args, kwargs=kwargs, retries=sender.request.retries)


def _postrun(sender: Any = None, task_id: str = "", args: Any = None, kwargs: Any = None, retval: Any = None, state: Any = None, **_: Any) -> None:
    if _ours(sender):
        record("postrun", task_id, attempt=sender.request, args=args, kwargs=kwargs, retval=retval, state=state)


def _success(sender: Any = None, result: Any = None, **_: Any) -> None:
    if _ours(sender):
        record("success", sender.request.id, attempt=sender.request, result=result)


def _failure(
    sender: Any = None,
    task_id: str = "",
    exception: Any = None,
    args: Any = None,
    kwargs: Any = None,
    traceback: Any = None,
    einfo: Any = None,
    **_: Any,
) -> None:
    if _ours(sender):
        record(
            "failure", task_id, attempt=sender.request, exception=exception, args=args, kwargs=kwargs, traceback=bool(traceback), einfo=bool(einfo)
        )


def _retry(sender: Any = None, request: Any = None, reason: Any = None, einfo: Any = None, **_: Any) -> None:
    if _ours(sender):
        record("retry", request.id, attempt=sender.request, reason=reason, retries=request.retries, einfo=bool(einfo))


def _revoked(sender: Any = None, request: Any = None, terminated: Any = None, signum: Any = None, expired: Any = None, **_: Any) -> None:
    if _ours(sender):
        record("revoked", request.id, terminated=bool(terminated), signum=signum, expired=bool(expired))


def _rejected(sender: Any = None, message: Any = None, exc: Any = None, **_: Any) -> None:
    headers = message.headers or {}
    if _ours(headers.get("task")):
        record("rejected", headers["id"], exc=exc)


def _internal_error(sender: Any = None, task_id: str = "", exception: Any = None, **_: Any) -> None:
    if _ours(sender):
        record("internal_error", task_id, exception=exception)


def record_signals() -> None:
    """In every process that imports the app."""
    for signal, receiver in {
        signals.before_task_publish: _before_publish,
        signals.after_task_publish: _after_publish,
        signals.task_received: _received,
        signals.task_prerun: _prerun,
        signals.task_postrun: _postrun,
        signals.task_success: _success,
        signals.task_failure: _failure,
        signals.task_retry: _retry,
        signals.task_revoked: _revoked,
        signals.task_rejected: _rejected,
        signals.task_internal_error: _internal_error,
    }.items():
        signal.connect(receiver, dispatch_uid=f"fidelity.{receiver.__name__}", weak=False)
