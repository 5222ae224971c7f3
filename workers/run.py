"""One run of one delivery: take up, the job, heartbeats, and the outcome back onto the stream."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import redis.asyncio

from streams.bus.backoff import Backoff
from streams.bus.clock import utc_now
from streams.bus.insist import insist_async
from streams.jobs import running
from streams.jobs.messages import DeadReason, JobErrorInfo, Result, ResultStatus
from streams.jobs.running import Delivery
from workers import instrumentation
from workers.decision import Drop, Finish, HandBack, RunAgain, StopReason, decide
from workers.folder import folder_name
from workers.heartbeat import Heartbeat
from workers.job_records import JobRecords
from workers.log_cap import LogCap
from workers.outcome import Failed, LogLine, Outcome, Progress, is_retryable
from workers.process import ChildServerError
from workers.request import JobRequest
from workers.running_job import RunningJob
from workers.settings import WorkerSettings
from workers.starting import JobStarter
from workers.suspects import Room, is_suspect

logger = logging.getLogger(__name__)

LIMIT_CHECK_SECONDS = 1.0
"""How often the memory is looked at."""
JOB_LOG: Final = "job.log"
NO_CHILD_SECONDS = 5.0
"""Pause of a slot whose child server can't start."""


@dataclass(slots=True)
class JobRun:
    """A delivery on its way through this worker."""

    client: redis.asyncio.Redis
    settings: WorkerSettings
    jobs: JobStarter
    delivery: Delivery
    room: Room
    worker: str
    pid: int = field(default_factory=os.getpid)
    token: str = ""
    number: int = 0
    """Which delivery of the publish this is, from 1."""
    started_at: datetime = field(default_factory=utc_now)
    _job: RunningJob | None = None
    _stop: StopReason | None = None
    _soft_limit_passed: bool = False
    _stopping: asyncio.Task[None] | None = None
    _log: LogCap | None = None

    def __str__(self) -> str:
        """As the log names it."""
        return f"job {self.delivery.command.task_id} ({self.delivery.command.type}, delivery {self.number})"

    @property
    def folder(self) -> str:
        """Name of the job's folder below JOBS_DIR."""
        return folder_name(self.delivery.command.task_id)

    @property
    def _records(self) -> JobRecords:
        return JobRecords(self.settings.jobs_dir)

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
                status_cap=self.settings.status_cap(self.delivery.service),
            ),
        )
        instrumentation.taken_up(self.delivery, taken)
        if taken.verdict != "run":
            return taken.verdict
        self.token, self.number, self.started_at = taken.token, taken.delivery, utc_now()
        alone = is_suspect(taken.crashes, self.number, self.settings.max_deliveries)
        if alone and not self.room.take():
            logger.info("%s: its worker has died under it before: it is handed back until it can run alone", self)
            return await insist_async(self.client, running.hand_back(self.settings.keys, self.delivery, self.token))
        self.room.decided.set()
        logger.info("%s: started%s", self, "; its worker has died under it before, so it runs alone" if alone else "")
        heartbeat = Heartbeat(self.client, self.settings, self.delivery, self.token, self.worker, self.pid, str(self))
        beating = asyncio.create_task(heartbeat.keep(self._on_verdict))
        try:
            outcome = await self._run_within_limits(heartbeat)
            await heartbeat.last()
            await asyncio.to_thread(self._tidy_up)
            return instrumentation.ended(self.delivery, await self._report(outcome), self.started_at)
        finally:
            if alone:
                self.room.release()
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    def _tidy_up(self) -> None:
        try:
            if self._log is not None and self._log.exceeded():
                self._log.cut()
            self._records.end(self.folder)
        except OSError as exc:  # a full disk: the outcome counts, and is sent
            logger.warning("%s: its folder can't be tidied up: %s", self, exc)

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

    async def _run_within_limits(self, heartbeat: Heartbeat) -> Outcome:
        limits = asyncio.create_task(self._enforce_limits())
        try:
            return await self._run_job(heartbeat)
        finally:
            limits.cancel()
            await asyncio.gather(limits, return_exceptions=True)

    async def _run_job(self, heartbeat: Heartbeat) -> Outcome:
        command, directory = self.delivery.command, (self.settings.jobs_dir / self.folder).absolute()
        request = JobRequest(
            id=command.task_id,
            type=command.type,
            data=command.data if isinstance(command.data, dict) else {"value": command.data},
            attempt=command.attempt,
            delivery=self.number,
            created_at=command.created_at.timestamp(),
            directory=str(directory),
            artifacts_url=self.settings.artifacts_url,
            log_path=str(directory / JOB_LOG),
        )
        self._log = LogCap(directory / JOB_LOG, int(self.settings.job_log_mib * 2**20))
        try:
            await asyncio.to_thread(self._records.begin, self.folder, self.delivery.service.name, self.delivery.publish_id)
            self._job = await self.jobs.start(request)
        except ChildServerError as exc:
            # Not the job's fault: it goes to a worker that can run it, and this one takes nothing else for a while.
            logger.error("%s: no child process can be started; it is handed back: %s", self, exc)  # noqa: TRY400 - the message holds the cause
            self._stop = self._stop or StopReason.HANDED_BACK
            await asyncio.sleep(NO_CHILD_SECONDS)
            return Failed(JobErrorInfo(type="ChildServerError", module="workers.process", message=str(exc), retryable=True))
        except Exception as exc:  # noqa: BLE001 - whatever keeps a job from starting is this run's outcome
            return Failed(JobErrorInfo(type=type(exc).__name__, module=type(exc).__module__, message=str(exc), retryable=is_retryable(exc)))
        heartbeat.pid = self._job.pid
        if self._soft_limit_passed:
            self._job.pass_soft_limit()
        if self._stop is not None:
            self._stopping = asyncio.create_task(self._stop_job(self._job))
        async for event in self._job.events():
            if not isinstance(event, Progress | LogLine):
                return event
            heartbeat.tell(event)
        raise AssertionError("a job's events end with its outcome")

    # ------------------------------------------------------------------------------------------------------------------ while it runs

    def _on_verdict(self, verdict: str) -> None:
        if verdict == "lost":
            logger.error("%s: this worker lost its lease; the run is ended, another worker has the job", self)
            self.stop(StopReason.LOST)
        else:
            self.stop(StopReason.CANCELLED)

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
            await self._keep_log_short()
            limit = self.settings.max_rss_mib
            if limit is not None and self._job is not None and self._job.rss_bytes() > limit * 2**20:
                self.stop(StopReason.MEMORY_LIMIT)
                return

    async def _keep_log_short(self) -> None:
        if self._log is None or not self._log.exceeded():
            return
        try:
            cut = await asyncio.to_thread(self._log.cut)
            logger.info("%s: its log was over JOB_LOG_MIB=%g, %d bytes were cut out of its middle", self, self.settings.job_log_mib, cut)
        except OSError as exc:
            logger.warning("%s: its log can't be cut: %s", self, exc)

    # ---------------------------------------------------------------------------------------------------------------------- afterwards

    async def _report(self, outcome: Outcome) -> str:
        """Send what became of the run; returns a word for the log."""
        decision = decide(outcome, self._stop, time_limit_seconds=self._time_limit, max_rss_mib=self.settings.max_rss_mib)
        match decision:
            case Finish(status, data, error):
                return await self._finish(status, data=data, error=error)
            case RunAgain(error, reason):
                return await self._again(error, reason)
            case HandBack() if self.delivery.command.at_most_once and self._job is not None:
                message = "its worker ended, and the job with it: how far it had come isn't known"
                return await self._again(JobErrorInfo(type="HandedBack", message=message), DeadReason.UNCERTAIN)
            case HandBack():
                return await insist_async(self.client, running.hand_back(self.settings.keys, self.delivery, self.token))
            case Drop():
                return "lost"

    async def _again(self, error: JobErrorInfo, reason: DeadReason) -> str:
        delay = Backoff(self.settings.retry_base, self.settings.retry_cap).delay(self.number)
        logger.warning("%s: %s: %s", self, error.type, error.message)
        verdict = await insist_async(
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
        return instrumentation.parked(self.delivery.service.name, reason, verdict)

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
