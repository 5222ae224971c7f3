"""Phase 1, in a Celery worker: a bridged task's message is dispatched, not traced."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis
from celery import Task, states
from celery._state import _task_stack
from celery.app.task import Context
from celery.app.trace import trace_ok_t
from celery.exceptions import Ignore, Reject, Retry
from celery.worker.request import Request
from celery.worker.state import task_ready

from bridge import outcome
from bridge.celery_internals.revoked import fail_revoked_chain
from streams.errors import BacklogFull

logger = logging.getLogger(__name__)

DISPATCH_SECONDS = 3600.0
"""A dispatch takes milliseconds, and at most the patience with a server that is away; this only ends one that is stuck."""


class Dispatched(Ignore):
    """The command of a task is on its stream: the bridge writes its outcome."""


class SentBack(Reject):
    """It can't be dispatched now: its message goes back to the broker, and nothing has happened."""


class PutOff(Retry):
    """It isn't taken now, and another message of the same publish comes later. No retry of the task's own: it uses up none of its `retries`."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """What `Request.on_failure` reads of billiard's ExceptionInfo; crosses the pool's pipe."""

    exception: Exception
    traceback: str = ""


class TwoPhaseTask(Task):
    """A task that Celery's tracer runs when its outcome is known. A Celery worker that takes its message only calls `dispatch`."""

    abstract = True
    Request = "bridge.celery_internals.dispatching:DispatchRequest"
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

    def put_off(self, reason: BacklogFull) -> PutOff | SentBack:
        """Send the current message again, later."""
        raise NotImplementedError

    def ended_before_dispatch(self, message: Mapping[str, Any], state: str) -> None:
        """A message, given by its headers, ends with this state without having been dispatched."""
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
        except BacklogFull as exc:
            ended = task.put_off(exc)
        except Exception as exc:  # noqa: BLE001 - whatever it is, Celery's tracer judges it
            ended = _judge(task, request, exc)
    finally:
        task.request_stack.pop()
        _task_stack.pop()
    if isinstance(ended, Dispatched | SentBack | PutOff):
        ended.__traceback__ = ended.__context__ = None  # its frames hold the arguments
        return trace_ok_t(_Ended(ended), ended, time.monotonic() - started, None)
    with outcome.yielding(outcome.raising(ended), task.name):
        traced = tracer(uuid, args, kwargs, request)
    # `self.retry` in the task's own function counts too: another message takes this one's place.
    if traced.info is not None and traced.info.state != states.REJECTED:
        try:
            task.ended_before_dispatch(request, traced.info.state)
        except (redis.RedisError, OSError) as exc:  # the outcome is stored, and stands; the reconciler sees it
            logger.warning("task %s: the run that it is a retry of isn't told of its end: %s: %s", uuid, type(exc).__name__, exc)
    return traced


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
        if self._starts and not isinstance(exc_info.exception, SentBack | PutOff):
            super().send_event("task-started")
        return super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:  # noqa: FBT001 - Celery's signature
        """REVOKED before the dispatch. What was dispatched before, the ledger and the bridge decide about: this is a second delivery then."""
        try:
            if not self.task.was_dispatched(self.request_dict):
                super()._announce_revoked(reason, terminated, signum, expired)
                self.task.ended_before_dispatch(self.request_dict, states.REVOKED)
                fail_revoked_chain(self, reason)  # before the acknowledgement, which Celery puts off until its next round
                return
        except (redis.RedisError, OSError) as exc:
            logger.warning(
                "task %s is revoked, but a server that has to be asked or told is away (%s): its message goes back to the broker", self.id, exc
            )
            self.reject(requeue=True)
        else:
            logger.info("task %s was dispatched before: this second delivery of its message is only acknowledged", self.id)
            self.acknowledge()
        task_ready(self)
        self._already_revoked = True
