"""What is asked for: one job, as its worker hands it to whatever runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workers.artifacts import ArtifactStore
from workers.job import Job, ProgressSink


@dataclass(frozen=True, slots=True)
class JobRequest:
    """Everything that is needed to run a job."""

    id: str
    type: str
    data: dict[str, Any]
    attempt: int
    delivery: int
    created_at: float | None
    """Seconds since the epoch."""
    directory: str
    """The job directory; made when it is missing, readable by its owner only."""
    artifacts_url: str
    log_path: str
    """The file that the job's log lines, and in a child process all output, are appended to."""

    def job(self, report: ProgressSink, say: Callable[[str], None]) -> Job:
        """What the handler sees of it."""
        directory = Path(self.directory)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Job(
            id=self.id,
            type=self.type,
            directory=directory,
            artifacts=ArtifactStore(self.artifacts_url),
            log_file=Path(self.log_path),
            created_at=self.created_at,
            attempt=self.attempt,
            delivery=self.delivery,
            _report=report,
            _say=say,
        )
