"""What a bridged task's body yields when Celery's tracer runs it: an outcome that is known already."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from bridge.errors import DeadLettered, PoisonCommand, UncertainOutcome
from bridge.remote_errors import caused_remotely, from_remote
from streams.jobs.messages import DeadReason, Result, ResultStatus

_KINDS: Final[Mapping[str, type[DeadLettered | PoisonCommand | UncertainOutcome]]] = {
    DeadReason.EXHAUSTED: DeadLettered,
    DeadReason.UNCERTAIN: UncertainOutcome,
}
"""Any other reason: it would be the same again."""

Body = Callable[[], Any]
"""Returns the task's result, or raises its error."""

_known: contextvars.ContextVar[tuple[str, Body] | None] = contextvars.ContextVar("bridge_known", default=None)


def known(task_name: str) -> Body | None:
    """The outcome of this bridged task, when this thread traces it. A handler of its may run another one, whose outcome this isn't."""
    known = _known.get()
    return known[1] if known is not None and known[0] == task_name else None


@contextmanager
def yielding(body: Body, task_name: str) -> Iterator[None]:
    """While inside, the body of this bridged task is this one."""
    token = _known.set((task_name, body))
    try:
        yield
    finally:
        _known.reset(token)


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
    return raising(caused_remotely(dead_lettered(result), failure.traceback))


def dead_lettered(result: Result) -> DeadLettered | PoisonCommand | UncertainOutcome:
    """The error that a dead letter's result stands for."""
    failure = result.failure()
    reason = result.reason or failure.reason
    kind = _KINDS.get(reason, PoisonCommand)
    return kind(reason, f"{failure.type}: {failure.message}", result.deliveries or 0, result.dead_letter_id or "")
