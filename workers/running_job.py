"""A job that runs, as its worker sees it; the ways to run one are in `child_process` and `in_worker`."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator

from workers.outcome import LogLine, Outcome, Progress
from workers.parent_link import LINES_A_TICK

Event = Progress | LogLine | Outcome


class RunningJob(ABC):
    """One running job. Read `events()` to its end."""

    pid: int = 0
    """The process that it runs in."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._lines: deque[LogLine] = deque(maxlen=LINES_A_TICK)
        self._outcome: Outcome | None = None
        self._news = asyncio.Event()
        self._ended = asyncio.Event()

    async def events(self) -> AsyncIterator[Event]:
        """The latest progress whenever there is a newer one, log lines, and at last, always, the `Outcome`. For one reader."""
        while True:
            await self._news.wait()
            self._news.clear()
            progress, self._progress = self._progress, None
            while self._lines:
                yield self._lines.popleft()
            if progress is not None:
                yield progress
            if self._outcome is not None:
                yield self._outcome
                return

    async def wait(self) -> Outcome:
        """The outcome, once the job has ended."""
        await self._ended.wait()
        assert self._outcome is not None
        return self._outcome

    @abstractmethod
    def cancel(self, reason: str) -> None:
        """Ask the job to stop; `Job.checkpoint()` raises in it. A job that never looks goes on."""

    @abstractmethod
    def pass_soft_limit(self) -> None:
        """Tell the job that its soft time limit has passed."""

    @abstractmethod
    async def stop(self, grace_seconds: float, reason: str = "cancelled") -> Outcome:
        """Cancel, and after the grace use what force there is. The outcome is `Cancelled` unless the job was faster."""

    @abstractmethod
    def kill(self, reason: str = "by its worker") -> None:
        """End the job now, as far as that can be done."""

    def rss_bytes(self) -> int:
        """Resident memory that is the job's alone; 0 where that can't be told."""
        return 0

    def _end(self, outcome: Outcome) -> None:
        """The job's last event; only the first counts."""
        if self._outcome is None:
            self._outcome = outcome
            self._ended.set()
            self._news.set()

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)
        return self._ended.is_set()
