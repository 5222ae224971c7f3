"""Jobs that run in the worker itself: in a thread, or on its event loop. They can be asked to stop, not made to."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from abc import abstractmethod
from collections.abc import Callable

from workers.outcome import MAX_PROGRESS_CHARS, Cancelled, LogLine, Outcome, Progress, shortened
from workers.parent_link import MAX_MESSAGE_CHARS, TICK_SECONDS
from workers.performing import perform, perform_inline
from workers.request import JobRequest
from workers.running_job import RunningJob

CANCEL_SECONDS = 2.0
"""A coroutine that is cancelled, after it was asked, has this long to end."""

logger = logging.getLogger(__name__)


class InWorkerJob(RunningJob):
    """What the two have in common."""

    def __init__(self, request: JobRequest) -> None:
        super().__init__()
        self.pid = os.getpid()
        self.request = request
        self.job = request.job(self._report, self._say)
        self._loop = asyncio.get_running_loop()
        self._reported: Progress | None = None
        self._telling = False
        self._told_at = float("-inf")

    @abstractmethod
    def begin(self) -> None:
        """Start the handler."""

    def cancel(self, reason: str) -> None:
        # In a thread: callbacks of the job may take their time.
        threading.Thread(target=self.job.cancel, args=(reason,), name="cancel", daemon=True).start()

    def pass_soft_limit(self) -> None:
        threading.Thread(target=self.job.pass_soft_limit, name="soft-limit", daemon=True).start()

    async def stop(self, grace_seconds: float, reason: str = "cancelled") -> Outcome:
        """Ask it; after the grace, and a coroutine after it was cancelled too, it is left behind."""
        self.cancel(reason)
        if not await self._ends_within(grace_seconds):
            self.leave_behind(reason)
        return await self.wait()

    def kill(self, reason: str = "by its worker") -> None:
        self.cancel(reason)
        self.leave_behind(reason)

    def leave_behind(self, reason: str) -> None:
        """Go on without it: nothing that it still does counts."""
        if self._outcome is None:
            logger.warning("job %s (%s) runs on in this worker although it was stopped (%s): nothing can end it", self.job.id, self.job.type, reason)
            self._finish(Cancelled(reason, killed=True))

    def _finish(self, outcome: Outcome) -> None:
        self._tell()
        self._end(outcome)

    # From any thread; a job may report a million times a second.

    def _report(self, current: int, total: int | None, message: str) -> None:
        self._reported = Progress(current, total, str(message)[:MAX_PROGRESS_CHARS])
        self._tell_soon()

    def _say(self, line: str) -> None:
        self._lines.append(LogLine(shortened(line, MAX_MESSAGE_CHARS)))
        self._tell_soon()

    def _tell_soon(self) -> None:
        if not self._telling:
            self._telling = True
            self._on_loop(lambda: self._loop.call_later(max(0.0, self._told_at + TICK_SECONDS - self._loop.time()), self._tell))

    def _tell(self) -> None:
        self._telling, self._told_at = False, self._loop.time()
        if self._outcome is None:
            self._progress, self._reported = self._reported or self._progress, None
            self._news.set()

    def _on_loop(self, call: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # it was left behind, and the worker's loop has ended
            self._loop.call_soon_threadsafe(call)


class ThreadJob(InWorkerJob):
    """A job in a thread of its own: one that is left behind takes no other's place, and keeps no worker from ending."""

    def begin(self) -> None:
        threading.Thread(target=self._run, name=f"job {self.job.id}", daemon=True).start()

    def _run(self) -> None:
        outcome = perform(self.job, self.request.data)
        self._on_loop(lambda: self._finish(outcome))


class InlineJob(InWorkerJob):
    """A job on the worker's own event loop."""

    _task: asyncio.Task[None]

    def begin(self) -> None:
        self._task = self._loop.create_task(self._run())

    async def _run(self) -> None:
        self._finish(await perform_inline(self.job, self.request.data))

    async def stop(self, grace_seconds: float, reason: str = "cancelled") -> Outcome:
        self.cancel(reason)
        if not await self._ends_within(grace_seconds):
            self._task.cancel()
            if not await self._ends_within(CANCEL_SECONDS):
                self.leave_behind(reason)
        return await self.wait()

    def kill(self, reason: str = "by its worker") -> None:
        super().kill(reason)
        self._task.cancel()
