"""A real child server for each test, and requests for its jobs."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from workers.process import ChildServer, JobRequest, Outcome, Progress

Requests = Callable[..., JobRequest]
Run = Callable[..., Any]


@pytest.fixture
def job_request(tmp_path: Path) -> Requests:
    """Makes the request for a job of a type; a given id is the same job again."""
    numbers = count(1)

    def make(type_: str, job_id: str | None = None, /, *, attempt: int = 0, delivery: int = 1, **data: Any) -> JobRequest:
        job_id = job_id or f"job{next(numbers)}"
        directory = tmp_path / "jobs" / job_id
        return JobRequest(
            id=job_id,
            type=type_,
            data=data,
            attempt=attempt,
            delivery=delivery,
            created_at=None,
            directory=str(directory),
            artifacts_url=str(tmp_path / "artifacts"),
            log_path=str(directory / "job.log"),
        )

    return make


@pytest.fixture
async def children() -> AsyncIterator[ChildServer]:
    server = ChildServer(
        ("tests.handlers",), env=os.environ | {"REDIS_URL": "redis://secret", "FREQTRADE__EXCHANGE__KEY": "secret", "MY_TOKEN": "secret"}
    )
    yield server
    await server.close()


@pytest.fixture
def run_job(children: ChildServer, job_request: Requests) -> Run:
    """Runs a job to its end: `(outcome, progress)`."""

    async def run(type_: str, job_id: str | None = None, /, **options: Any) -> tuple[Outcome, list[Progress]]:
        child = await children.spawn(job_request(type_, job_id, **options))
        events = [event async for event in child.events()]
        progress = [event for event in events if isinstance(event, Progress)]
        outcome = await child.wait()
        assert [*progress, outcome] == events  # one outcome, and it comes last
        return outcome, progress

    return run
