"""`JobInfo.of(result)`: how a bridged task stands, beyond what its Celery state says.

Read from the ledger (`task:`, `job:` and `run:` of `streams.bus.topology`) and Celery's result, when it is asked for; several reads, so a job that just
changes may show a bit of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self, cast

from celery import states
from celery.result import AsyncResult
from pydantic import BaseModel, ConfigDict, PrivateAttr

from bridge.connection import Connection
from streams.bus.clock import utc_now
from streams.bus.topology import SERVICES, Service
from streams.jobs import queueing
from streams.jobs.queueing import Held


class Stage(StrEnum):
    """Where a job is on its way."""

    UNKNOWN = "unknown"
    """Nothing is known of this id: it was never sent, its Celery message isn't dispatched yet, or it ended so long ago that its ledger is gone."""
    WAITING = "waiting"
    """On its stream; no worker has taken it up."""
    RUNNING = "running"
    """A worker has taken it up. When that one died, it stays so for up to one lease: see `last_heartbeat`."""
    DELAYED = "delayed"
    """Ended by a passing trouble, and delivered again at `due_at`."""
    FINISHING = "finishing"
    """Its result is there, and the bridge is making it the task's outcome."""
    PARKED = "parked"
    """Its command is a dead letter, and an operator is to redrive or discard it."""
    RETRYING = "retrying"
    """Celery retries it, or it was put off as its stream is full: its next message waits for its countdown."""
    DONE = "done"


class Progress(BaseModel):
    """How far a running job says it is."""

    model_config = ConfigDict(frozen=True)

    current: int | None = None
    total: int | None = None
    message: str = ""


class JobInfo(BaseModel):
    """One look at the newest run of a task."""

    model_config = ConfigDict(frozen=True)

    task_id: str
    state: str
    """Celery's: PENDING, DISPATCHED, STARTED, PROGRESS, RETRY, DEAD_LETTERED, SUCCESS, FAILURE, REVOKED, or your own."""
    stage: Stage
    service: str | None = None
    progress: Progress | None = None
    """What this delivery reported last."""
    worker: str | None = None
    """Who runs it, or ran it last."""
    attempt: int | None = None
    """Celery's `retries`: 0 for the first."""
    run: int | None = None
    """Number of this publish of the task id, from 1: each retry is one, and so is each time a frozen signature is sent again."""
    deliveries: int | None = None
    """How often this run was handed to a worker; more than one after crashes and passing troubles."""
    cancelling: bool = False
    """A cancel was accepted, and the job hasn't ended yet."""
    dispatched_at: datetime | None = None
    started_at: datetime | None = None
    """Of the newest delivery."""
    queue_wait_seconds: float | None = None
    """From dispatch to the first start; up to now for one that still waits."""
    last_heartbeat: datetime | None = None
    due_at: datetime | None = None
    """When a delayed one is delivered again."""
    finished_at: datetime | None = None

    _connection: Connection | None = PrivateAttr(default=None)
    _stream: str = PrivateAttr(default="")
    _entry: str = PrivateAttr(default="")

    @classmethod
    def of(cls, result: AsyncResult) -> Self:
        """Look at the task of a result, which belongs to a connected app (`bridge.connect`).

        Raises:
            LookupError: its app isn't connected.
        """
        connection = Connection.of(result.app)
        ledger = _Ledger.read(connection, result.id)
        # After the ledger: a job that is closed there has its final state.
        meta = result.app.backend.get_task_meta(result.id, cache=False)
        info = cls(task_id=result.id, state=meta["status"], **_fields(ledger, meta))
        info._connection, info._stream, info._entry = connection, ledger.stream, ledger.entry
        return info

    def position(self) -> int | None:
        """How many jobs of its service nobody has taken up will be taken up before this one, as things are now; 0 is next. None when it doesn't wait."""
        if self.stage is not Stage.WAITING or self._connection is None or not self.service:
            return None
        connection, service = self._connection, _service(self.service)
        if queueing.holder(connection.client, self._stream, service.group, self._entry) is not None:
            return None
        return queueing.ahead(connection.client, connection.keys, service, self._stream, self._entry)


class _Ledger:
    """The newest publish of a task, as the streams' server has it."""

    def __init__(self, job: Mapping[str, str], run: Mapping[str, str], due_ms: float | None, held: Held | None) -> None:
        self.job, self.run, self.due_ms, self.held = job, run, due_ms, held
        self.stream, self.entry = job.get("stream", ""), job.get("entry", "")

    @classmethod
    def read(cls, connection: Connection, task_id: str) -> Self:
        client, keys = connection.client, connection.keys
        task = cast("dict[str, str]", client.hgetall(keys.task(task_id)))
        publish = task.get(f"publish:{task.get('seq')}", "")
        job = cast("dict[str, str]", client.hgetall(keys.job(publish))) if publish else {}
        if not job:
            return cls({}, {}, None, None)
        service = _service(job["service"])
        with client.pipeline() as pipe:
            pipe.hgetall(keys.run(service.name, publish))
            pipe.zscore(keys.delayed(service.name), publish)
            run, due = pipe.execute()
        held = queueing.holder(client, job["stream"], service.group, job["entry"]) if job.get("entry") else None
        return cls(job, run, due, held)


def _service(name: str) -> Service:
    """Whoever only looks need not have declared it."""
    return SERVICES.get(name) or Service.named(name)


def _fields(ledger: _Ledger, meta: Mapping[str, Any]) -> dict[str, Any]:
    """What the ledger and Celery's result say together."""
    job, run, stage = ledger.job, ledger.run, _stage(ledger, str(meta["status"]))
    finished = _moment(meta.get("date_done")) or _of_ms(job.get("closed_at"))
    if not job:
        return {"stage": stage, "finished_at": finished if stage is Stage.DONE else None}
    dispatched, started = _of_ms(job.get("dispatched_at")), _moment(run.get("started_at"))
    first = _moment(run.get("first_started_at"))
    waited_until = first or (utc_now() if stage is Stage.WAITING else None)
    return {
        "stage": stage,
        "service": job["service"],
        "progress": _progress(run),
        "worker": run.get("worker") or (ledger.held.consumer if ledger.held else None),
        "attempt": int(job["retries"]),
        "run": int(job["seq"]),
        "deliveries": int(run.get("runs") or (ledger.held.times_delivered if ledger.held else 0)),
        "cancelling": "cancel" in job and stage is not Stage.DONE,
        "dispatched_at": dispatched,
        "started_at": started,
        "queue_wait_seconds": max(0.0, (waited_until - dispatched).total_seconds()) if waited_until and dispatched else None,
        "last_heartbeat": _of_ms(run.get("heartbeat")),
        "due_at": _of_ms(ledger.due_ms) if stage is Stage.DELAYED else None,
        "finished_at": finished if stage is Stage.DONE else None,
    }


def _stage(ledger: _Ledger, state: str) -> Stage:
    job, run = ledger.job, ledger.run
    if not job and state == states.RETRY:  # never dispatched: its stream is full
        return Stage.RETRYING
    if not job:
        return Stage.DONE if state in states.READY_STATES else Stage.UNKNOWN
    if job.get("phase") == "parked":
        return Stage.PARKED
    if job.get("phase") == "closed":
        return Stage.RETRYING if state == states.RETRY else Stage.DONE
    if "winner" in job or "result_id" in job or "result_id" in run:
        return Stage.FINISHING
    if ledger.due_ms is not None:
        return Stage.DELAYED
    return Stage.RUNNING if ledger.held is not None else Stage.WAITING


def _progress(run: Mapping[str, str]) -> Progress | None:
    if "current" not in run:
        return None
    current, total = (int(run[name]) if run.get(name) else None for name in ("current", "total"))
    return Progress(current=current, total=total, message=run.get("message", ""))


def _of_ms(value: Any) -> datetime | None:
    return datetime.fromtimestamp(float(value) / 1000, UTC) if value else None


def _moment(value: Any) -> datetime | None:
    """ISO text (Redis), or a datetime without a zone that is UTC (SQLAlchemy)."""
    if not value:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
