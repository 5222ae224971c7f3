"""Making a running handler raise: a plain function by a signal to the main thread, a coroutine at its next await."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Coroutine, Generator
from functools import partial
from typing import Any

from workers.errors import JobCancelled, SoftTimeLimit
from workers.job import Job

SOFT_LIMIT_SIGNAL = signal.SIGUSR1
"""Celery's own choice. A signal also ends what blocks in the system, such as a sleep or a read."""


class SoftLimitBySignal:
    """While inside, the main thread of this process gets `SoftTimeLimit` raised when the job's soft limit passes.

    No `@contextmanager`: that assigns to what passes through it, and an exception that is a frozen dataclass can't be assigned to.
    """

    def __init__(self, job: Job) -> None:
        self._job = job

    def __enter__(self) -> None:
        thread = threading.main_thread().ident
        assert thread is not None
        number = thread

        def interrupt(error: BaseException) -> None:
            if isinstance(error, SoftTimeLimit):  # a cancelled job is asked first: its checkpoint raises
                signal.pthread_kill(number, SOFT_LIMIT_SIGNAL)

        signal.signal(SOFT_LIMIT_SIGNAL, lambda *_: self._job.tell_soft_limit())
        self._job.interrupt_with(interrupt)

    def __exit__(self, *_: object) -> None:
        try:
            self._job.interrupt_with(None)
        finally:
            signal.signal(SOFT_LIMIT_SIGNAL, signal.SIG_IGN)


class _JobCancelledHere(JobCancelled, asyncio.CancelledError):
    """Both: what waits for others in the coroutine, such as a TaskGroup, ends them when it is cancelled, and at nothing else."""


class _SoftTimeLimitHere(SoftTimeLimit, asyncio.CancelledError):
    """The same."""


class Interruptible:
    """A handler's coroutine, which raises `JobCancelled` or `SoftTimeLimit` at its next await when the job is to stop.

    A task can only be cancelled; this stands between the task and the coroutine, and puts our error, which is one too, in the place of that `CancelledError`.
    """

    def __init__(self, job: Job, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._job, self._coroutine = job, coroutine
        self._error: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> Any:
        """The coroutine's result."""
        loop, self._task = asyncio.get_running_loop(), asyncio.current_task()

        def interrupt(error: BaseException) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and so has the job
                loop.call_soon_threadsafe(self._raise, error)

        self._job.interrupt_with(interrupt)
        try:
            return await self
        finally:
            self._job.interrupt_with(None)
            self._task = None

    def __await__(self) -> Generator[Any, Any, Any]:
        step = partial(self._coroutine.send, None)
        while True:
            try:
                waited_for = step()
            except StopIteration as done:
                return done.value
            try:
                step = partial(self._coroutine.send, (yield waited_for))
            except GeneratorExit:
                self._coroutine.close()
                raise
            except BaseException as exc:  # noqa: BLE001 - it goes into the coroutine
                step = partial(self._coroutine.throw, self._instead_of(exc))

    def _raise(self, error: BaseException) -> None:
        if self._task is None or (isinstance(error, SoftTimeLimit) and not self._job.take_soft_limit()):
            return
        self._error = error
        self._task.cancel()

    def _instead_of(self, raised: BaseException) -> BaseException:
        error, self._error = self._error, None
        if error is None or not isinstance(raised, asyncio.CancelledError) or self._task is None:
            return raised
        self._task.uncancel()
        return _JobCancelledHere(error.reason) if isinstance(error, JobCancelled) else _SoftTimeLimitHere()
