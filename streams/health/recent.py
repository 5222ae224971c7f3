"""How long the last jobs waited and ran: a capped list per service, written by the bridge after it has closed a job. Closed ledgers can't be listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import redis
from pydantic import BaseModel, ConfigDict, ValidationError

from streams.bus.topology import Keys
from streams.health.snapshot import Times

KEPT: Final = 1_000
KEPT_SECONDS: Final = 7 * 86_400
"""After the last job of its service the list goes."""


class RecentJob(BaseModel):
    """A job that ended."""

    model_config = ConfigDict(frozen=True)

    queue_wait_ms: int | None = None
    """From its dispatch to its first start; None when no worker of ours started it."""
    run_ms: int | None = None
    finished_at: int
    """When its result was applied, in milliseconds since the epoch."""
    outcome: str
    """A `ResultStatus`."""


def remember(client: redis.Redis, keys: Keys, service_name: str, job: RecentJob) -> None:
    """Add a job; the oldest one goes."""
    key = keys.recent(service_name)
    with client.pipeline(transaction=False) as pipe:
        pipe.lpush(key, job.model_dump_json(exclude_none=True))
        pipe.ltrim(key, 0, KEPT - 1)
        pipe.expire(key, KEPT_SECONDS)
        pipe.execute()


def read_all(rows: Iterable[str]) -> list[RecentJob]:
    """The list's values, newest first; what can't be read is left out."""
    jobs = []
    for row in rows:
        try:
            jobs.append(RecentJob.model_validate_json(row))
        except ValidationError:
            continue
    return jobs


def times(jobs: Sequence[RecentJob], *, now_ms: int, window_seconds: float) -> Times:
    """What the jobs say that ended within the window. If the list reaches back less far than the window, the rate is that of the time it covers."""
    lately = [job for job in jobs if job.finished_at > now_ms - window_seconds * 1000]
    if not lately:
        return Times()
    covered = window_seconds
    if len(lately) == len(jobs) >= KEPT:
        covered = max(1.0, (now_ms - min(job.finished_at for job in lately)) / 1000)
    waits = [job.queue_wait_ms / 1000 for job in lately if job.queue_wait_ms is not None]
    runs = [job.run_ms / 1000 for job in lately if job.run_ms is not None]
    return Times(
        finished=len(lately),
        per_minute=round(len(lately) * 60 / covered, 2),
        queue_wait_p50_seconds=percentile(waits, 50),
        queue_wait_p95_seconds=percentile(waits, 95),
        run_p50_seconds=percentile(runs, 50),
        run_p95_seconds=percentile(runs, 95),
    )


def percentile(values: Iterable[float], percent: int) -> float | None:
    """The smallest value that at least so many percent of them don't exceed (the nearest rank); None of none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None
