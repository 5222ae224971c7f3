"""The open jobs, as the checks look at them: each with both halves of its ledger, its entry on the stream, and the state that callers see."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bridge.connection import Connection
from streams.bus.topology import MANAGEMENT_CONSUMERS, Service

PAGE = 100
OF_JOB: Final = ("task_id", "service", "seq", "lineage", "stream", "entry", "winner", "result_id", "dispatched_at")
OF_RUN: Final = ("worker", "heartbeat", "progress_at", "current", "total", "message", "result_id")
"""Neither the commands nor the contexts: each may have a MiB."""


def ignores_result(context: str) -> bool:
    """Whether the task of this context, Celery's request as JSON, has `ignore_result`: no state of it is stored."""
    try:
        return bool(json.loads(context).get("ignore_result"))
    except (ValueError, AttributeError):
        return False


@dataclass(frozen=True, slots=True)
class OpenLedger:
    """One publish that isn't closed."""

    publish: str
    job: dict[str, str]
    run: dict[str, str]
    service: Service
    idle_ms: int | None
    """Of its entry in the workers' pending list; None when nobody holds it."""
    consumer: str
    due_ms: float | None
    """When it is put off."""
    result_pending: bool | None
    """Whether its result is in a bridge's hands; None when it has none."""

    @property
    def task_id(self) -> str:
        return self.job.get("task_id", "")

    @property
    def is_newest(self) -> bool:
        """Whether no later run of its task is known; set by the reader."""
        return self.job.get("seq") == self.job.get("newest_seq")

    @property
    def has_result(self) -> bool:
        """Whether a worker, or dispatch, has answered."""
        return "result_id" in self.job or "result_id" in self.run

    def age_ms(self, now_ms: int) -> float:
        """Since its dispatch."""
        return now_ms - float(self.job.get("dispatched_at") or now_ms)


def pages_of_ledgers(connection: Connection, listed: str) -> Iterator[list[OpenLedger]]:
    """Those of one list (`Keys.open_jobs` or `Keys.parked_jobs`), so many at a time. One that is closed meanwhile makes another one be left out this time."""
    start = 0
    while publishes := [str(each) for each in connection.client.zrange(listed, start, start + PAGE - 1)]:
        yield list(_read(connection, publishes))
        start += PAGE


def _read(connection: Connection, publishes: list[str]) -> Iterator[OpenLedger]:
    keys, client = connection.keys, connection.client
    with client.pipeline(transaction=False) as pipe:
        for publish in publishes:
            pipe.hmget(keys.job(publish), list(OF_JOB))
        jobs = [_present(OF_JOB, row) for row in pipe.execute()]
    known = [(publish, job, _service(connection, job)) for publish, job in zip(publishes, jobs, strict=True) if job.get("task_id")]
    with client.pipeline(transaction=False) as pipe:
        for publish, job, service in known:
            entry, stream = job.get("entry") or "0-1", job.get("stream", "")
            winner = job.get("winner", "").rpartition(" ")[2] or job.get("result_id") or "0-1"
            pipe.hmget(keys.run(service.name, publish), list(OF_RUN))
            pipe.zscore(keys.delayed(service.name), publish)
            pipe.hget(keys.task(job["task_id"]), "seq")
            pipe.xpending_range(stream, service.group, entry, entry, 1)
            pipe.xpending_range(keys.stream(service.results), MANAGEMENT_CONSUMERS, winner, winner, 1)
        replies: list[Any] = pipe.execute(raise_on_error=False)  # a stream or group that is gone is an answer too
    for number, (publish, job, service) in enumerate(known):
        run, due, newest, held, resolving = replies[5 * number : 5 * number + 5]
        row = held[0] if isinstance(held, list) and held else None
        yield OpenLedger(
            publish=publish,
            job={**job, "newest_seq": str(newest)},
            run=_present(OF_RUN, run) if isinstance(run, list) else {},
            service=service,
            idle_ms=int(row["time_since_delivered"]) if row else None,
            consumer=str(row["consumer"]) if row else "",
            due_ms=due,
            result_pending=(isinstance(resolving, list) and bool(resolving)) if "winner" in job or "result_id" in job else None,
        )


def _present(fields: Sequence[str], row: Sequence[Any]) -> dict[str, str]:
    return {name: str(value) for name, value in zip(fields, row, strict=True) if value is not None}


def _service(connection: Connection, job: dict[str, str]) -> Service:
    """Also one that isn't configured any more."""
    name = job.get("service", "")
    return next((service for service in connection.services if service.name == name), None) or Service.named(name or "unknown")
