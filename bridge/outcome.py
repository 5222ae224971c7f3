"""What a bridged task's body yields when Celery's tracer runs it: an outcome that is known already."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bridge.errors import DeadLettered, JobError, PoisonCommand
from bridge.remote_errors import caused_remotely, from_remote
from streams.jobs.messages import DeadReason, Result, ResultStatus

Body = Callable[[], Any]
"""Returns the task's result, or raises its error."""

_body: contextvars.ContextVar[Body | None] = contextvars.ContextVar("bridge_body", default=None)


def known() -> Body | None:
    """The outcome of the bridged task that this thread traces; None outside of that."""
    return _body.get()


@contextmanager
def yielding(body: Body) -> Iterator[None]:
    """While inside, the body of a bridged task is this one."""
    token = _body.set(body)
    try:
        yield
    finally:
        _body.reset(token)


def raising(error: BaseException) -> Body:
    """The body that raises this."""

    def body() -> None:
        raise error

    return body


def of_result(result: Result, also: tuple[type[BaseException], ...] = ()) -> Body:
    """The body that yields a remote result.

    Args:
        result: a job's end; `cancelled` and `expired` aren't outcomes of a body.
        also: classes that a remote error may become, whatever their module.
    """
    if result.status is ResultStatus.SUCCEEDED:
        return lambda: result.data
    failure = result.failure()
    if result.status is not ResultStatus.DEAD_LETTERED:
        return raising(from_remote(failure, also))
    reason = result.reason or failure.reason
    kind: type[DeadLettered | PoisonCommand] = DeadLettered if reason == DeadReason.EXHAUSTED else PoisonCommand
    error: JobError = kind(reason, f"{failure.type}: {failure.message}", result.deliveries or 0, result.dead_letter_id or "")
    return raising(caused_remotely(error, failure.traceback))
