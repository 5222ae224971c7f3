"""While a job runs: its lease is renewed, and what it tells goes onto the status stream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import redis
import redis.asyncio

from streams.bus.clients import CONNECTION_ERRORS
from streams.bus.functions import call_async
from streams.errors import FunctionLibraryMissing
from streams.jobs import running
from streams.jobs.messages import Status, StatusKind
from streams.jobs.running import Delivery
from workers.outcome import LogLine, Progress
from workers.parent_link import LINES_A_TICK
from workers.settings import WorkerSettings

LAST_LINES_SECONDS = 2.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Heartbeat:
    """That of one run (protocol R5)."""

    client: redis.asyncio.Redis
    settings: WorkerSettings
    delivery: Delivery
    token: str
    worker: str
    pid: int
    """The process that the job runs in, once there is one."""
    name: str
    """As the log names the run."""
    _progress: Progress | None = None
    _lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LINES_A_TICK))
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _beating: asyncio.Lock = field(default_factory=asyncio.Lock)
    _job_ended: bool = False

    def tell(self, news: Progress | LogLine) -> None:
        """Send it with the next heartbeat, which is at once."""
        if isinstance(news, Progress):
            self._progress = news
        else:
            self._lines.append(news)
        self._news.set()

    async def keep(self, on_verdict: Callable[[str], None]) -> None:
        """Renew the lease each third of it, and at once when there is news; an unreachable server is waited for. Cancel it to end it.

        Args:
            on_verdict: called with `cancelled`, as often as the server says so, or once with `lost`.
        """
        interval = self.settings.lease_seconds / 3
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), timeout=interval)
            self._news.clear()
            try:
                # A connection that died without a word must not eat the lease: the next try gets a new one.
                async with asyncio.timeout(interval / 2):
                    verdict = await self._beat()
            except (*CONNECTION_ERRORS, redis.RedisError, FunctionLibraryMissing, TimeoutError) as exc:
                logger.warning("%s: no heartbeat (%s: %s); the job goes on", self.name, type(exc).__name__, exc)
                await self.client.connection_pool.disconnect(inuse_connections=False)
                await asyncio.sleep(min(1.0, interval / 4))
                continue
            except Exception:
                logger.exception("%s: a heartbeat failed; the job goes on", self.name)
                continue
            if verdict == "lost":
                if not self._job_ended:  # else its result may just have been sent
                    on_verdict(verdict)
                return
            if verdict == "cancelled":
                on_verdict(verdict)

    async def last(self) -> None:
        """The job has ended: tell what it logged just before. When the server is away its log file has it."""
        self._job_ended = True
        with contextlib.suppress(*CONNECTION_ERRORS, redis.RedisError, FunctionLibraryMissing, TimeoutError):
            async with asyncio.timeout(LAST_LINES_SECONDS):
                if self._lines or self._beating.locked():
                    await self._beat()

    async def _beat(self) -> str:
        """One heartbeat, and one more for each further piece of news."""
        async with self._beating:
            while self._lines:
                await self._send(self._status(StatusKind.LOG, message=self._lines.popleft().text))
            progress, self._progress = self._progress, None
            if progress is None:
                return await self._send()
            return await self._send(self._status(StatusKind.PROGRESS, current=progress.current, total=progress.total, message=progress.message))

    async def _send(self, status: Status | None = None) -> str:
        return await call_async(
            self.client,
            running.heartbeat(self.settings.keys, self.delivery, self.token, status, status_cap=self.settings.status_cap(self.delivery.service)),
        )

    def _status(self, kind: StatusKind, *, current: int | None = None, total: int | None = None, message: str) -> Status:
        command = self.delivery.command
        return Status(
            task_id=command.task_id,
            attempt=command.attempt,
            publish_id=command.publish_id,
            kind=kind,
            current=current,
            total=total,
            message=message,
            worker=self.worker,
            pid=self.pid,
        )
