"""`StreamTask`: a Celery task whose work is done by a stream worker.

    @app.task(base=StreamTask, service="render", command="render.run")
    def render(scene: str, frames: int = 240) -> Render:
        return Render(scene=scene, frames=frames)       # what is sent; .get() gives the worker's answer

The function only builds the payload, in a Celery worker, where it is dispatched and the worker is free again (phase 1). When the job has ended, the
bridge lets Celery's own tracer run the task with a body that returns the remote result or raises the remote error (phase 2). So links, chains,
chords, retries, handlers and signals are Celery's own, and happen once.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, NoReturn

from celery import states
from pydantic import ValidationError

from bridge import outcome
from bridge.celery_internals.dispatching import PutOff, SentBack, TwoPhaseTask, caller_of_current_task
from bridge.chord_parts import CHORD_PART, told_error
from bridge.connection import Connection
from bridge.dispatch import LANE, dispatch, ended_before_dispatch, was_dispatched
from bridge.eager import run_here
from bridge.errors import BadPayload, NotMappable, UncertainOutcome
from bridge.putting_off import put_off
from streams.errors import BacklogFull

_INLINE_TASKS: Final = {"celery.map", "celery.starmap"}
"""They call a task's body in their own worker, item by item; `chunks` sends the second."""
_building: contextvars.ContextVar[StreamTask | None] = contextvars.ContextVar("bridge_building", default=None)
"""The task whose payload this thread builds."""


class StreamTask(TwoPhaseTask):
    """Base of bridged tasks."""

    abstract = True
    service: ClassVar[str]
    """Name of the service whose workers run it."""
    command: ClassVar[str]
    """Type of the command, which names the handler there."""
    lane: ClassVar[str | None] = None
    """Of the service's lanes; None is its default. A call may name another: `apply_async(lane="urgent")`, `signature.set(lane="urgent")`."""
    at_most_once: ClassVar[bool] = False
    """Never run a job a second time when it isn't known what became of the first run: it fails with `UncertainOutcome`. For what moves money."""
    on_dead_letter: ClassVar[Literal["fail", "park"]] = "fail"
    """What becomes of a task whose command is a dead letter, once Celery wouldn't retry it. `fail`: FAILURE. `park`: DEAD_LETTERED, until an operator redrives
    it (it then goes on as if nothing had happened) or discards it (FAILURE): `celery -A tasks streams dead`. `get()`, its chord and its chain wait."""
    history: ClassVar[Mapping[str, str]] = {}
    """Columns of `celery jobs history`, by name: a dotted path in the result (`profit_total`, `pairs.0.pair`), or `args.` and the name of an argument."""
    build_payload: ClassVar[Callable[..., Any]]
    """The decorated function, or the `run` of a class."""

    # The message is acknowledged after the dispatch, never before: a worker that dies in between loses nothing, and a second dispatch does nothing.
    acks_late = True
    reject_on_worker_lost = True
    # Not even by `task_retry_on_worker_lost`: the job may be on its stream already, and a retry would run it once more.
    retry_on_worker_lost = False
    # STARTED is when the stream worker starts.
    track_started = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Take the function of a task as what builds its payload. Before Celery wraps `run` for `autoretry_for`, so that retries apply to the outcome."""
        super().__init_subclass__(**options)
        if "run" not in cls.__dict__:
            return
        for name in ("service", "command"):
            if not getattr(cls, name, None):
                raise TypeError(
                    f"bridged task {getattr(cls, 'name', None) or cls.__name__} needs {name}=...: "
                    "@app.task(base=StreamTask, service='backtesting', command='backtest.run')"
                )
        if cls.on_dead_letter not in {"fail", "park"}:
            raise TypeError(f"{getattr(cls, 'name', None) or cls.__name__}: on_dead_letter is 'fail' or 'park', not {cls.on_dead_letter!r}")
        build = cls.build_payload = cls.__dict__["run"]
        cls.run = _run_of(build)  # type: ignore[method-assign]

    def apply_async(self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, *more: Any, **options: Any) -> Any:
        """As Celery's, with `lane=`: which of the service's lanes the job waits in; and `chord_part={...}`: as part of a chord it may fail without failing
        that, see `bridge.chord_parts`. A retry keeps both, as headers of the message.

        Raises:
            UnknownLane: the service has no such lane; nothing was sent.
        """
        headers = dict(options.pop("headers", None) or {})
        if lane := options.pop(LANE, None):
            headers[LANE] = lane
        if (part := options.pop(CHORD_PART, None)) is not None:
            headers[CHORD_PART] = part
        if wanted := headers.get(LANE) or self.lane:
            Connection.of(self.app).service(self.service).command_stream(wanted)
        return super().apply_async(args, kwargs, *more, headers=headers or None, **options)

    def chord_part(self, told: dict[str, Any], task_id: str, state: str, outcome: Any) -> Any:
        """What the body of a chord gets of a part that was sent with `chord_part`: plain JSON.

        Args:
            told: what it was sent with.
            task_id: of the part.
            state: SUCCESS, FAILURE or REVOKED.
            outcome: the result, or the error.
        """
        if state == states.SUCCESS:
            return outcome
        return told | {"task_id": task_id, "state": state, "error": told_error(state, outcome)}

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """What Celery's tracer and a direct call run: the known outcome, or else the job itself, here and now."""
        known = outcome.known(self.name)
        if known is not None:
            return known()
        if (caller := caller_of_current_task()) in _INLINE_TASKS:
            self._refuse_inline(caller.removeprefix("celery."))
        return run_here(self, self.payload(*args, **kwargs))

    def dispatch(self, *args: Any, **kwargs: Any) -> None:
        """Phase 1: the payload onto its stream."""
        dispatch(self, self.payload(*args, **kwargs))

    def was_dispatched(self, message: Mapping[str, Any]) -> bool:
        """Whether a message, given by its headers, was dispatched before: this is its second delivery then."""
        return was_dispatched(self, message)

    def put_off(self, reason: BacklogFull) -> PutOff | SentBack:
        """Send the current message again, later: its command isn't taken now."""
        return put_off(self, reason)

    def ended_before_dispatch(self, message: Mapping[str, Any], state: str) -> None:
        """A message, given by its headers, ends with this state without having been dispatched."""
        ended_before_dispatch(self, message, state)

    def retry(self, args: Any = None, kwargs: Any = None, exc: BaseException | None = None, **options: Any) -> Any:
        """Celery's; but a job that may run once only isn't run again because it isn't known whether it ran, whatever `autoretry_for` says.

        Raises:
            UncertainOutcome: that is `exc`.
        """
        if isinstance(exc, UncertainOutcome):
            raise exc
        return super().retry(args, kwargs, exc, **options)

    def payload(self, *args: Any, **kwargs: Any) -> Any:
        """What these arguments send.

        Raises:
            BadPayload: pydantic refused it.
        """
        token = _building.set(self)
        try:
            return self.build_payload(*args, **kwargs)
        except ValidationError as exc:
            # Told by key, never by value, and in a form that survives Celery's JSON: pydantic's own doesn't.
            lines = [
                f"{'.'.join(map(str, error['loc'])) or 'payload'}: {error['msg']}" for error in exc.errors(include_input=False, include_url=False)
            ]
            raise BadPayload(f"{self.name}: the payload isn't valid, nothing was sent:\n  " + "\n  ".join(lines)) from None
        finally:
            _building.reset(token)

    # -------------------------------------------------------------------------------------------------- what would run jobs one by one in a worker

    def map(self, it: Iterable[Any]) -> NoReturn:  # noqa: ARG002 - Celery's signature
        """Refused."""
        self._refuse_inline("map")

    def starmap(self, it: Iterable[Any]) -> NoReturn:  # noqa: ARG002 - Celery's signature
        """Refused."""
        self._refuse_inline("starmap")

    def chunks(self, it: Iterable[Any], n: int) -> NoReturn:  # noqa: ARG002 - Celery's signature
        """Refused."""
        self._refuse_inline("chunks")

    def _refuse_inline(self, what: str) -> NoReturn:
        item = "item" if what == "map" else "*item"
        raise NotMappable(
            f"{what}() would run the jobs of {self.name} one after the other inside one Celery worker. Send a group, whose jobs run side by side: "
            f"group({self.__name__}.s({item}) for item in items)"
        )


def _run_of(build: Any) -> Callable[..., Any]:
    """The `run` of a class that has its own: for a subclass that calls `super().run()` while it builds its payload it is that, else `StreamTask.run`."""

    def run(self: StreamTask, *args: Any, **kwargs: Any) -> Any:
        if _building.get() is self:
            return build.__get__(self, type(self))(*args, **kwargs)
        return StreamTask.run(self, *args, **kwargs)

    return run
