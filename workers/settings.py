"""Settings of a worker process. What a job's child process may see is declared by its handler instead."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from streams.bus.settings import StreamsSettings
from streams.errors import SettingsError
from workers.artifacts import ArtifactStore


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
    heartbeat_seconds: float = Field(default=2.0, validation_alias="WORKER_HEARTBEAT_SECONDS", ge=0.1, le=3600)
    """How often a worker says on the status stream that it is there."""
    retry_base_seconds: float = Field(default=2.0, validation_alias="WORKER_RETRY_BASE_SECONDS", gt=0)
    """After the n-th delivery ended in a passing trouble, the next one comes in this times 2**(n-1), less up to half of that by chance."""
    retry_cap_seconds: float = Field(default=300.0, validation_alias="WORKER_RETRY_CAP_SECONDS", gt=0)
    """At most so long."""
    max_rss_mib: float | None = Field(default=None, validation_alias="WORKER_MAX_RSS_MIB", gt=0)
    """Memory limit of one job's process tree; None is no limit."""
    default_time_limit_seconds: float | None = Field(default=None, validation_alias="WORKER_TIME_LIMIT_SECONDS", gt=0)
    """For commands that name no `time_limit` themselves."""

    @property
    def retry_base(self) -> timedelta:
        """The first wait as a duration."""
        return timedelta(seconds=self.retry_base_seconds)

    @property
    def retry_cap(self) -> timedelta:
        """The longest wait as a duration."""
        return timedelta(seconds=self.retry_cap_seconds)

    def make_places(self) -> None:
        """Make the jobs folder, and see that the artifact store exists.

        Raises:
            SettingsError: one of them can't be used; names its variable.
        """
        try:
            self.jobs_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.jobs_dir):
                pass
        except OSError as exc:
            raise SettingsError(f"JOBS_DIR: {self.jobs_dir} can't be written: {exc.strerror or exc}") from exc
        try:
            ArtifactStore(self.artifacts_url)
        except (ValueError, ImportError, OSError) as exc:
            raise SettingsError(f"ARTIFACTS_URL: no folder, and no URL that fsspec can use here: {exc}") from exc
