"""The job of the chaos tests: it takes its time, fails as often as it is told to, and writes down that it lives.

Lines of the run log (TEST_RUN_LOG), one write each: `start|beat|end task_id attempt delivery pid time`. `end` is written when the handler is left, whatever the way;
a process that is killed writes none, so the last beat says until when it lived.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from streams.settings import Settings
from tests import stopping
from workers import Job, Retryable, handler

BEAT_SECONDS = 0.1


class RunSettings(Settings):
    """Declared, so that the variable passes the scrubbing of a child's environment."""

    run_log: Path = Field(validation_alias="TEST_RUN_LOG")


class PlannedError(Exception):
    """What a job fails with when it is told to."""


class Work(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    value: int
    seconds: float = 0.0
    failures: int = 0
    """This many runs of the job fail, at their end."""
    how: Literal["retryable", "fail", "crash"] = "fail"


@handler("chaos.work", settings=RunSettings)
def work(job: Job, params: Work) -> dict[str, int]:
    with RunSettings.load().run_log.open("ab", buffering=0) as log:

        def write(what: str) -> None:
            log.write(f"{what} {job.id} {job.attempt} {job.delivery} {os.getpid()} {time.time():.3f}\n".encode())

        write("start")
        try:
            _take_time(job, params.seconds, write)
            _fail_as_told(job, params)
        finally:
            write("end")
    return {"value": params.value}


def _take_time(job: Job, seconds: float, write: object) -> None:
    assert callable(write)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        job.checkpoint()
        time.sleep(min(left, BEAT_SECONDS))
        write("beat")
        if seconds > 1:
            job.progress(int(seconds - left), int(seconds), "working")


def _fail_as_told(job: Job, params: Work) -> None:
    marker = job.directory / "failed"
    failed = len(marker.read_bytes()) if marker.exists() else 0
    if failed >= params.failures:
        return
    marker.write_bytes(b"x" * (failed + 1))
    if params.how == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    raise (Retryable if params.how == "retryable" else PlannedError)(f"planned failure {failed + 1} of {params.failures}")


stopping.install()
