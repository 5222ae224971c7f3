"""Settings of a worker process. What a job's child process may see is declared by its handler instead."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from streams.bus.settings import StreamsSettings


class WorkerSettings(StreamsSettings):
    """What the parent process of a worker needs."""

    jobs_dir: Path = Field(default=Path("var/jobs"), validation_alias="JOBS_DIR")
    """A folder per task id, kept over redeliveries."""
    artifacts_url: str = Field(default="var/artifacts", validation_alias="ARTIFACTS_URL")
    """A folder, or any fsspec URL."""
    cancel_grace_seconds: float = Field(default=10.0, validation_alias="WORKER_CANCEL_GRACE_SECONDS", ge=0)
    """How long a cancelled job may clean up before SIGTERM, then SIGKILL."""
    drain_seconds: float = Field(default=3600.0, validation_alias="WORKER_DRAIN_SECONDS", ge=0)
    """After SIGTERM, how long running jobs may go on before they are handed back."""
    max_rss_mib: float | None = Field(default=None, validation_alias="WORKER_MAX_RSS_MIB", gt=0)
    """Memory limit of one job's process tree; None is no limit."""
    default_time_limit_seconds: float | None = Field(default=None, validation_alias="WORKER_TIME_LIMIT_SECONDS", gt=0)
    """For commands that name no `time_limit` themselves."""
