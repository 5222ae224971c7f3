"""How a job that went over its time ends: with Celery's own exceptions, as their names and arguments. Nothing here imports them."""

from __future__ import annotations

from typing import Any, Final

from streams.jobs.messages import JobErrorInfo

_MODULE: Final = "billiard.exceptions"


def soft_time_limit_exceeded(traceback: str = "") -> JobErrorInfo:
    """The handler let `SoftTimeLimit` pass; Celery raises its own without arguments too."""
    return _exceeded("SoftTimeLimitExceeded", [], traceback)


def time_limit_exceeded(seconds: float, traceback: str = "") -> JobErrorInfo:
    """The job was ended at its hard limit. On the wire 5 s and 5.0 s are the same; it is told as Celery tells the first."""
    return _exceeded("TimeLimitExceeded", [int(seconds) if seconds.is_integer() else seconds], traceback)


def _exceeded(kind: str, args: list[Any], traceback: str) -> JobErrorInfo:
    return JobErrorInfo(type=kind, module=_MODULE, message=f"{kind}{tuple(args)}", args=args, traceback=traceback)
