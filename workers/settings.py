"""Settings of a worker process. What a job's child process may see is declared by its handler instead."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from pydantic import ByteSize, Field

from streams.bus.settings import StreamsSettings
from streams.bus.topology import Service
from streams.errors import SettingsError
from streams.jobs.running import STATUS_STREAM_CAP
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

    metrics_port: int | None = Field(default=None, validation_alias="WORKER_METRICS_PORT", ge=0, le=65_535)
    """Prometheus scrapes it here; None is off, 0 any free port (the log says which)."""
    metrics_address: str = Field(default="127.0.0.1", validation_alias="WORKER_METRICS_ADDRESS", min_length=1)
    jobs_keep_days: float | None = Field(default=7.0, validation_alias="JOBS_KEEP_DAYS", ge=0)
    """How long the folder of a job that has ended stays after its last use."""
    jobs_keep_gb: float | None = Field(default=None, validation_alias="JOBS_KEEP_GB", ge=0)
    """How much (10^9 bytes) job folders may hold together; above it those of the longest ended jobs go. None is no limit."""
    artifacts_keep_days: float | None = Field(default=30.0, validation_alias="ARTIFACTS_KEEP_DAYS", ge=0)
    """The same of artifacts: not shorter than Celery keeps the results that name them (`result_expires`)."""
    artifacts_keep_gb: float | None = Field(default=None, validation_alias="ARTIFACTS_KEEP_GB", ge=0)
    """The same of artifacts."""
    min_free_disk: ByteSize = Field(default=ByteSize(2**30), validation_alias="MIN_FREE_DISK")
    """With less free space (`2GiB`, `500MB`) under JOBS_DIR, or under ARTIFACTS_URL when it is local, a worker takes no new job. 0 is no limit."""
    job_log_mib: float = Field(default=20.0, validation_alias="JOB_LOG_MIB", ge=0.01)
    """How much a job's `job.log` may hold; of a longer one the head and the tail are kept."""
    housekeeping_seconds: float = Field(default=600.0, validation_alias="WORKER_HOUSEKEEPING_SECONDS", ge=0)
    """How often folders past their retention are looked for; 0 is never."""

    def status_cap(self, service: Service) -> int:
        """About how many messages the service's status stream keeps."""
        return self.limits_of(service.status, service).cap or STATUS_STREAM_CAP

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
