"""One run of one delivery: take up, the job, heartbeats, and the outcome back onto the stream."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import redis
import redis.asyncio

from streams.bus.clients import CONNECTION_ERRORS
from streams.bus.clock import utc_now
from streams.bus.functions import FunctionCall, call_async
from streams.bus.insist import insist_async
from streams.errors import FunctionLibraryMissing
from streams.jobs import running
from streams.jobs.backoff import Backoff
from streams.jobs.messages import DeadReason, JobErrorInfo, Result, ResultStatus, Status, StatusKind
from streams.jobs.running import Delivery
from workers.decision import Drop, Finish, HandBack, RunAgain, StopReason, decide
from workers.errors import Retryable
from workers.folder import folder_name
from workers.outcome import Failed, LogLine, Outcome, Progress
from workers.parent_link import LINES_A_TICK
from workers.process import ChildServerError
from workers.request import JobRequest
from workers.running_job import RunningJob
from workers.settings import WorkerSettings
from workers.starting import JobStarter

logger = logging.getLogger(__name__)

LIMIT_CHECK_SECONDS = 1.0
"""How often the memory is looked at."""
LAST_LINES_SECONDS = 2.0
NO_CHILD_SECONDS = 5.0
"""Pause of a slot whose child server can't start."""


@dataclass(slots=True)
class JobRun:
    """A delivery on its way through this worker."""

    client: redis.asyncio.Redis
    settings: WorkerSettings
    jobs: JobStarter
    delivery: Delivery
    worker: str
    pid: int = field(default_factory=os.getpid)
    backoff: Backoff = field(default_factory=Backoff)
    token: str = ""
    number: int = 0
    """Which delivery of the publish this is, from 1."""
    started_at: datetime = field(default_factory=utc_now)
    _job: RunningJob | None = None
    _stop: StopReason | None = None
    _soft_limit_passed: bool = False
    _stopping: asyncio.Task[None] | None = None
    _progress: Progress | None = None
    _lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=LINES_A_TICK))
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __str__(self) -> str:
        """As the log names it."""
        return f"job {self.delivery.command.task_id} ({self.delivery.command.type}, delivery {self.number})"

    @property
    def _time_limit(self) -> float | None:
        """Seconds; the command's own counts before the worker's."""
        return self.delivery.command.time_limit or self.settings.default_time_limit_seconds

    async def execute(self) -> str:
        """Take the delivery through to its end; returns a word for the log."""
        taken = await insist_async(
            self.client,
            running.take_up(
                self.settings.keys,
                self.delivery,
                nonce=uuid4().hex,
                max_deliveries=self.settings.max_deliveries,
                worker=self.worker,
                pid=self.pid,
            ),
        )
        if taken.verdict != "run":
            return taken.verdict
        self.token, self.number, self.started_at = taken.token, taken.delivery, utc_now()
        logger.info("%s: started", self)
        beating = asyncio.create_task(self._keep_alive())
        limits = asyncio.create_task(self._enforce_limits())
        try:
            outcome = await self._run_job()
            await self._tell_last_lines()
            return await self._report(outcome)
        finally:
            for task in (beating, limits):
                task.cancel()
            await asyncio.gather(beating, limits, return_exceptions=True)

    def stop(self, reason: StopReason) -> None:
        """End the run: the job is asked, then told, then killed. The first reason counts."""
        if self._stop is not None:
            return
        self._stop = reason
        if self._job is not None:
            self._stopping = asyncio.create_task(self._stop_job(self._job))

    async def _stop_job(self, job: RunningJob) -> None:
        if self._stop is StopReason.LOST:
            job.kill()
        else:
            await job.stop(self.settings.cancel_grace_seconds, reason=str(self._stop))

    async def _run_job(self) -> Outcome:
        command, directory = self.delivery.command, (self.settings.jobs_dir / folder_name(self.delivery.command.task_id)).absolute()
        request = JobRequest(
            id=command.task_id,
            type=command.type,
            data=command.data if isinstance(command.data, dict) else {"value": command.data},
            attempt=command.attempt,
            delivery=self.number,
            created_at=command.created_at.timestamp(),
            directory=str(directory),
            artifacts_url=self.settings.artifacts_url,
            log_path=str(directory / "job.log"),
        )
        try:
            self._job = await self.jobs.start(request)
        except ChildServerError as exc:
            # Not the job's fault: it goes to a worker that can run it, and this one takes nothing else for a while.
            logger.error("%s: no child process can be started; it is handed back: %s", self, exc)  # noqa: TRY400 - the message holds the cause
            self._stop = self._stop or StopReason.HANDED_BACK
            await asyncio.sleep(NO_CHILD_SECONDS)
            return Failed(JobErrorInfo(type="ChildServerError", module="workers.process", message=str(exc), retryable=True))
        except Exception as exc:  # noqa: BLE001 - whatever keeps a job from starting is this run's outcome
            return Failed(JobErrorInfo(type=type(exc).__name__, module=type(exc).__module__, message=str(exc), retryable=isinstance(exc, Retryable)))
        if self._soft_limit_passed:
            self._job.pass_soft_limit()
        if self._stop is not None:
            self._stopping = asyncio.create_task(self._stop_job(self._job))
        async for event in self._job.events():
            match event:
                case Progress():
                    self._progress = event
                case LogLine():
                    self._lines.append(event)
                case _:
                    return event
            self._news.set()
        raise AssertionError("a job's events end with its outcome")

    # ------------------------------------------------------------------------------------------------------------------ while it runs

    async def _keep_alive(self) -> None:
        """Renew the lease each third of it, and at once when there is progress to tell; an unreachable server is waited for."""
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
                logger.warning("%s: no heartbeat (%s: %s); the job goes on", self, type(exc).__name__, exc)
                await self.client.connection_pool.disconnect(inuse_connections=False)
                await asyncio.sleep(min(1.0, interval / 4))
                continue
            except Exception:
                logger.exception("%s: a heartbeat failed; the job goes on", self)
                continue
            if verdict == "lost":
                logger.error("%s: this worker lost its lease; the run is ended, another worker has the job", self)
                self.stop(StopReason.LOST)
                return
            if verdict == "cancelled":
                self.stop(StopReason.CANCELLED)

    async def _beat(self) -> str:
        """One heartbeat, and one more for each further piece of news."""
        progress, self._progress = self._progress, None
        while self._lines:
            await call_async(self.client, self._heartbeat(self._status(StatusKind.LOG, message=self._lines.popleft().text)))
        if progress is None:
            return await call_async(self.client, self._heartbeat())
        status = self._status(StatusKind.PROGRESS, current=progress.current, total=progress.total, message=progress.message)
        return await call_async(self.client, self._heartbeat(status))

    async def _tell_last_lines(self) -> None:
        """What the job logged just before its end; when the server is away the log file has it."""
        with contextlib.suppress(*CONNECTION_ERRORS, redis.RedisError, FunctionLibraryMissing, TimeoutError):
            async with asyncio.timeout(LAST_LINES_SECONDS):
                if self._lines:
                    await self._beat()

    def _heartbeat(self, status: Status | None = None) -> FunctionCall[str]:
        return running.heartbeat(self.settings.keys, self.delivery, self.token, status)

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
            pid=self._job.pid if self._job else self.pid,
        )

    async def _enforce_limits(self) -> None:
        now = asyncio.get_running_loop().time
        soft, hard = (None if limit is None else now() + limit for limit in (self.delivery.command.soft_time_limit, self._time_limit))
        while True:
            next_deadline = min(limit for limit in (soft, hard, now() + LIMIT_CHECK_SECONDS) if limit is not None)
            await asyncio.sleep(max(0.0, next_deadline - now()))
            if hard is not None and now() >= hard:
                self.stop(StopReason.TIME_LIMIT)
                return
            if soft is not None and now() >= soft:
                logger.warning("%s: its soft time limit of %g s has passed", self, self.delivery.command.soft_time_limit)
                soft, self._soft_limit_passed = None, True
                if self._job is not None:
                    self._job.pass_soft_limit()
            limit = self.settings.max_rss_mib
            if limit is not None and self._job is not None and self._job.rss_bytes() > limit * 2**20:
                self.stop(StopReason.MEMORY_LIMIT)
                return

    # ---------------------------------------------------------------------------------------------------------------------- afterwards

    async def _report(self, outcome: Outcome) -> str:
        """Send what became of the run; returns a word for the log."""
        decision = decide(outcome, self._stop, time_limit_seconds=self._time_limit, max_rss_mib=self.settings.max_rss_mib)
        match decision:
            case Finish(status, data, error):
                return await self._finish(status, data=data, error=error)
            case RunAgain(error, reason):
                return await self._again(error, reason)
            case HandBack():
                return await insist_async(self.client, running.hand_back(self.settings.keys, self.delivery, self.token))
            case Drop():
                return "lost"

    async def _again(self, error: JobErrorInfo, reason: DeadReason) -> str:
        delay = self.backoff.delay(self.number)
        logger.warning("%s: %s: %s", self, error.type, error.message)
        return await insist_async(
            self.client,
            running.retry_later(
                self.settings.keys,
                self.delivery,
                self.token,
                error,
                reason=reason,
                delay=delay,
                max_deliveries=self.settings.max_deliveries,
                worker=self.worker,
                pid=self.pid,
            ),
        )

    async def _finish(self, status: ResultStatus, *, data: Any = None, error: JobErrorInfo | None = None) -> str:
        result = self._result(status, data, error)
        size = sum(len(value.encode(errors="surrogateescape")) for value in result.to_redis_dict().values())
        if size > self.settings.max_message_bytes:
            message = (
                f"the result has {size:,} bytes, STREAMS_MAX_MESSAGE_BYTES allows {self.settings.max_message_bytes:,}; "
                "put large outputs in a file and return job.artifact(path)"
            )
            result = self._result(ResultStatus.FAILED, None, JobErrorInfo(type="PayloadTooLarge", module="streams.errors", message=message))
        verdict = await insist_async(self.client, running.finish(self.settings.keys, self.delivery, self.token, result))
        return str(result.status) if verdict == "finished" else verdict

    def _result(self, status: ResultStatus, data: Any, error: JobErrorInfo | None) -> Result:
        command = self.delivery.command
        return Result(
            task_id=command.task_id,
            attempt=command.attempt,
            publish_id=command.publish_id,
            status=status,
            data=data,
            error=error,
            deliveries=self.number,
            worker=self.worker,
            pid=self._job.pid if self._job else self.pid,
            started_at=self.started_at,
            finished_at=utc_now(),
        )
