"""The messages of jobs and of their workers. A foreign worker needs no more than these fields; see `streams.bus.messages` for how they look on the wire."""

from __future__ import annotations

import contextlib
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streams.bus.clock import utc_now
from streams.bus.messages import EventMessage, Json


class ResultStatus(StrEnum):
    """How a job ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEAD_LETTERED = "dead_lettered"
    """Its deliveries are used up, or it can't be delivered; the command is parked in the dead-letter stream."""
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    """`expires_at` had passed when a worker took it up."""


class StatusKind(StrEnum):
    """What a status message tells."""

    STARTED = "started"
    PROGRESS = "progress"
    LOG = "log"


class WorkerStatusKind(StrEnum):
    """What a worker tells of itself, on the same stream."""

    ONLINE = "worker_online"
    HEARTBEAT = "worker_heartbeat"
    OFFLINE = "worker_offline"


class DeadReason(StrEnum):
    """Why a command was parked."""

    EXHAUSTED = "exhausted"
    """Its deliveries are used up by transient failures."""
    POISON = "poison"
    """It took its worker down each time."""
    UNDECODABLE = "undecodable"
    """The entry is no valid command."""
    UNKNOWN_TYPE = "unknown_type"
    """No worker of this service has a handler for its type."""
    OVERSIZE = "oversize"
    """A field of it is larger than the worker's STREAMS_MAX_MESSAGE_BYTES: a producer that isn't ours has sent it."""
    EXPIRED = "expired"
    """Its `expires_at` had passed, and no ledger knows of it: a producer that isn't ours has sent it. An expired task's end is REVOKED."""
    UNCERTAIN = "uncertain"
    """An at-most-once command whose outcome isn't known."""


class JobErrorInfo(BaseModel):
    """A job's error, as it crosses the wire."""

    model_config = ConfigDict(frozen=True)

    type: str
    """Class name of the exception, qualified within its module."""
    message: str = ""
    module: str = ""
    traceback: str = ""
    retryable: bool = False
    reason: str = ""
    """For a dead letter, its `DeadReason`."""
    args: list[Any] | None = None
    """The exception's arguments, when they are plain JSON values and few: with them the other side can make it again."""


class Command(EventMessage):
    """What is to be run."""

    type: str = Field(min_length=1)
    """Which handler runs it, such as `backtest.run`."""
    task_id: str = Field(min_length=1)
    callback_stream: str = Field(min_length=1)
    """Full name of the stream that wants the result."""
    data: Json = None
    attempt: int = 0
    """Run number of the task id, given by dispatch; a worker echoes it."""
    publish_id: str | None = None
    """Echoed in the result when known."""
    created_at: datetime = Field(default_factory=utc_now)
    time_limit: float | None = Field(default=None, gt=0)
    """Seconds the job may run; the worker enforces it."""
    soft_time_limit: float | None = Field(default=None, gt=0)
    """Seconds after which the job is told to clean up and end."""
    expires_at: datetime | None = None
    """Not to be taken up after this."""
    traceparent: str | None = None
    deliveries: int = 0
    """Deliveries that happened under earlier entries of this publish."""
    at_most_once: bool = False
    """Nobody runs it a second time when it isn't known what became of the first run: it is a dead letter then (`uncertain`)."""


class Result(EventMessage):
    """How a job ended. `task_id`, `attempt`, `status` and `data` are enough to resolve a task."""

    task_id: str = Field(min_length=1)
    attempt: int
    status: ResultStatus
    publish_id: str | None = None
    data: Json = None
    error: Json = None
    """A `JobErrorInfo`."""
    reason: str | None = None
    dead_letter_id: str | None = None
    deliveries: int | None = None
    worker: str | None = None
    pid: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def runtime_seconds(self) -> float | None:
        """How long the job ran on its worker."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, (self.finished_at - self.started_at).total_seconds())

    def failure(self) -> JobErrorInfo:
        """The error; a foreign worker may have sent a plain string, or nothing."""
        if isinstance(self.error, dict) and self.error.get("type"):
            with contextlib.suppress(ValidationError):
                return JobErrorInfo.model_validate({key: value for key, value in self.error.items() if value is not None})
        return JobErrorInfo(type="JobError", message=str(self.error or f"the worker sent no error with status {self.status}"))


def unreadable(fields: dict[str, str], reason: str) -> Result | None:
    """A result that can't be read, as the failure of its job; None when it doesn't say whose it is."""
    task_id, attempt, publish_id = fields.get("task_id"), fields.get("attempt", ""), fields.get("publish_id")
    if not task_id or not (publish_id or attempt.isdigit()):
        return None
    error = JobErrorInfo(type="DecodeError", module="streams.errors", message=f"the worker's result can't be read: {reason}")
    return Result(
        task_id=task_id,
        attempt=int(attempt) if attempt.isdigit() else 0,
        publish_id=publish_id,
        status=ResultStatus.FAILED,
        error=error.model_dump(),
        worker=fields.get("worker"),
    )


class Status(EventMessage):
    """What a running job tells; status streams are capped, and what Celery shows comes from the ledger too."""

    task_id: str = Field(min_length=1)
    attempt: int
    kind: StatusKind
    publish_id: str | None = None
    current: int | None = None
    total: int | None = None
    message: str | None = None
    worker: str | None = None
    pid: int | None = None
    at: datetime = Field(default_factory=utc_now)

    def progress(self) -> dict[str, Any]:
        """What `AsyncResult.info` shows."""
        return {"current": self.current, "total": self.total, "message": self.message or "", "worker": self.worker}


class WorkerStatus(EventMessage):
    """How things stand with a worker; it is of no job."""

    kind: WorkerStatusKind
    worker: str = Field(min_length=1)
    """Its name, which a process that comes later may have too."""
    pid: int
    consumer: str | None = None
    """What this one process is called in the groups of its streams; without it no order reaches it."""
    concurrency: int
    active: int = 0
    """Jobs that run now."""
    processed: int = 0
    """Jobs that have ended here since its start, whichever way."""
    freq: float = Field(gt=0, le=3600)
    """Seconds between its heartbeats."""
    load: Json = None
    """The machine's load average over 1, 5 and 15 minutes."""
    versions: Json = None
    """`{"python": ..., "celery-streams-bridge": ...}`"""
    task_types: Json = None
    """The command types that it has handlers for."""
    refuses: str | None = None
    """Why it takes no new jobs now."""
    at: datetime = Field(default_factory=utc_now)


class DeadLetter(Command):
    """A parked command: its own fields, and why it is here."""

    task_id: str = ""
    type: str = ""
    callback_stream: str = ""
    source_stream: str
    source_id: str
    reason: str
    error: Json = None
    worker: str | None = None
    first_failed_at: datetime | None = None
    last_failed_at: datetime | None = None
