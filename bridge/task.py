"""`StreamTask`: a Celery task whose work is done by a stream worker.

    @app.task(base=StreamTask, service="render", command="render.run")
    def render(scene: str, frames: int = 240) -> Render:
        return Render(scene=scene, frames=frames)       # what is sent; .get() gives the worker's answer

The function only builds the payload. It runs twice over in a task's life, as far as Celery is concerned, but its body once: in a Celery worker, where
its payload is dispatched and the worker is free again (phase 1); then in the bridge, where the same Celery tracer runs with a body that returns the
remote result or raises the remote error (phase 2). So links, chains, chords, retries and handlers are Celery's own.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from celery import Celery, Task
from celery.exceptions import Ignore
from pydantic import ValidationError

from bridge.connection import Connection
from bridge.dispatch import LANE, dispatch
from bridge.errors import BadPayload, DeadLettered, JobError, PoisonCommand, RemoteError, RemoteTraceback
from streams.jobs.messages import DeadReason, Result, ResultStatus

_outcome: contextvars.ContextVar[Result | None] = contextvars.ContextVar("bridge_outcome", default=None)


@contextmanager
def resuming(outcome: Result) -> Iterator[None]:
    """While inside, a bridged task's body yields this outcome instead of dispatching."""
    token = _outcome.set(outcome)
    try:
        yield
    finally:
        _outcome.reset(token)


class StreamTask(Task):
    """Base of bridged tasks."""

    abstract = True
    service: ClassVar[str]
    """Name of the service whose workers run it."""
    command: ClassVar[str]
    """Type of the command, which names the handler there."""
    lane: ClassVar[str | None] = None
    """Of the service's lanes; None is its default. A call may name another: `apply_async(lane="urgent")`, `signature.set(lane="urgent")`."""
    build_payload: ClassVar[Callable[..., Any]]
    """The decorated function."""

    # The message is acknowledged after the dispatch, never before: a worker that dies in between loses nothing, and a second dispatch does nothing.
    acks_late = True
    reject_on_worker_lost = True
    Request = "bridge.celery_internals:DispatchRequest"
    # STARTED is when the stream worker starts.
    track_started = False

    @classmethod
    def on_bound(cls, app: Celery) -> None:  # noqa: ARG003 - Celery's signature
        """Put our body in the place of the decorated function.

        Here, before Celery wraps `run` for `autoretry_for`, so that retries apply to the remote error.
        """
        if "build_payload" not in cls.__dict__ and "run" in cls.__dict__:
            for name in ("service", "command"):
                if not getattr(cls, name, None):
                    raise TypeError(
                        f"bridged task {cls.name} needs {name}=...: @app.task(base=StreamTask, service='backtesting', command='backtest.run')"
                    )
            cls.build_payload = cls.__dict__["run"]
            cls.run = StreamTask._dispatch_or_resume

    def apply_async(self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """As Celery's, with `lane=`: which of the service's lanes the job waits in. A retry keeps it, as a header of the message.

        Raises:
            UnknownLane: the service has no such lane; nothing was sent.
        """
        headers = dict(options.pop("headers", None) or {})
        if lane := options.pop(LANE, None):
            headers[LANE] = lane
        if wanted := headers.get(LANE) or self.lane:
            Connection.of(self.app).service(self.service).command_stream(wanted)
        return super().apply_async(args, kwargs, headers=headers or None, **options)

    def _dispatch_or_resume(self, *args: Any, **kwargs: Any) -> Any:
        outcome = _outcome.get()
        if outcome is not None:
            return resolve(outcome)
        payload = self._payload(*args, **kwargs)
        if self.request.called_directly:
            return payload
        dispatch(self, payload)
        # Not an end: the bridge writes it. Celery acknowledges the message and stores nothing.
        raise Ignore

    def _payload(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self.build_payload(*args, **kwargs)
        except ValidationError as exc:
            # Told by key, never by value, and in a form that survives Celery's JSON: pydantic's own doesn't.
            lines = [
                f"{'.'.join(map(str, error['loc'])) or 'payload'}: {error['msg']}" for error in exc.errors(include_input=False, include_url=False)
            ]
            raise BadPayload(f"{self.name}: the payload isn't valid, nothing was sent:\n  " + "\n  ".join(lines)) from None


def resolve(outcome: Result) -> Any:
    """The remote result.

    Raises:
        RemoteError, DeadLettered, PoisonCommand: with the remote traceback as `__cause__`.
    """
    if outcome.status is ResultStatus.SUCCEEDED:
        return outcome.data
    error = outcome.failure()
    exception: JobError
    if outcome.status is ResultStatus.DEAD_LETTERED:
        kind = DeadLettered if (outcome.reason or error.reason) == DeadReason.EXHAUSTED else PoisonCommand
        exception = kind(outcome.reason or error.reason, f"{error.type}: {error.message}", outcome.deliveries or 0, outcome.dead_letter_id or "")
    else:
        exception = RemoteError(error.type, error.message)
    raise exception from RemoteTraceback(error.traceback.rstrip()) if error.traceback else None
