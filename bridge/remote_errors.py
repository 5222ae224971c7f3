"""A remote job's error as an exception here: its own class when this process has it loaded, else `RemoteError`."""

from __future__ import annotations

import sys
from typing import Any, Final, TypeVar

from celery.exceptions import Ignore, Reject, Retry

from bridge.errors import RemoteError, RemoteTraceback
from streams.jobs.messages import JobErrorInfo

E = TypeVar("E", bound=Exception)
CUT_NOTICE: Final = " ... [cut: {} characters in all]"
MAX_TYPE_CHARS: Final = 1_024
MAX_MESSAGE_CHARS: Final = 16_384
MAX_TRACEBACK_CHARS: Final = 65_536
_FLOW_CONTROL: Final = ("celery", "kombu", "billiard", "amqp", "redis", "bridge")
"""Packages whose exceptions mean something to the bridge or to Celery's tracer: a worker can't raise them here, nor a class of another package that is made
of one by which Celery's tracer steers ..."""
_LIMITS: Final = {("billiard.exceptions", "SoftTimeLimitExceeded"), ("billiard.exceptions", "TimeLimitExceeded")}
"""... but for these two, which say the same there and here."""


def from_remote(error: JobErrorInfo, also: tuple[type[BaseException], ...] = ()) -> Exception:
    """The exception that a job's error becomes.

    Like Celery's own backend it never imports a module that a message names: the class must be loaded here, be an `Exception`, and take the remote
    arguments. `RemoteError` stands for everything else.

    Args:
        error: from a result.
        also: classes that are allowed whatever their module, because the task itself names them (`throws`, `autoretry_for`).
    """
    error = cut(error)
    kind = _loaded_class(error, also)
    if kind is not None:
        try:
            exception = kind(*(error.args if isinstance(error.args, list) else [error.message] if error.message else []))
            return caused_remotely(exception, error.traceback)
        except Exception:  # noqa: BLE001, S110 - another signature over here, or a frozen dataclass: RemoteError says what it was
            pass
    return caused_remotely(RemoteError(error.type, error.message), error.traceback)


def caused_remotely(exception: E, traceback: str) -> E:
    """The same exception, with the remote traceback as its cause; an empty one too, as it says that this didn't happen here."""
    exception.__cause__ = RemoteTraceback(_cut(traceback, MAX_TRACEBACK_CHARS).rstrip())
    return exception


def remote_traceback(exception: BaseException | None) -> str | None:
    """The traceback of the worker's process, perhaps empty; None of what was raised here."""
    cause = getattr(exception, "__cause__", None)
    return cause.text if isinstance(cause, RemoteTraceback) else None


def cut(error: JobErrorInfo) -> JobErrorInfo:
    """A huge message would sit in every place that keeps the result: cut, with a notice."""
    args = error.args if len(error.message) <= MAX_MESSAGE_CHARS and len(str(error.args)) <= MAX_MESSAGE_CHARS else None
    return error.model_copy(update={"type": _cut(error.type, MAX_TYPE_CHARS), "message": _cut(error.message, MAX_MESSAGE_CHARS), "args": args})


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[:limit] + CUT_NOTICE.format(len(text))


def _loaded_class(error: JobErrorInfo, also: tuple[type[BaseException], ...]) -> type[Exception] | None:
    found: Any = sys.modules.get(error.module or "builtins")
    for name in error.type.split("."):
        try:
            found = getattr(found, name, None)
        except Exception:  # noqa: BLE001 - a module that imports its parts when they are asked for
            return None
    if not (isinstance(found, type) and issubclass(found, Exception)):
        return None
    if found in also or (error.module, error.type) in _LIMITS:
        return found
    steers = issubclass(found, Ignore | Reject | Retry) or found.__module__.split(".")[0] in _FLOW_CONTROL
    return None if steers else found


def classes_named_by(task: Any) -> tuple[type[BaseException], ...]:
    """The exception classes that a task's options name; its worker may raise them."""
    named: list[type[BaseException]] = []
    for option in ("throws", "autoretry_for", "dont_autoretry_for"):
        value = getattr(task, option, None) or ()
        named += [value] if isinstance(value, type) else [kind for kind in value if isinstance(kind, type)]
    return tuple(named)
