"""What a handler sees of its job: parameters come as its second argument, everything else is here. No Redis, no Celery."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workers.artifacts import ArtifactStore
from workers.errors import JobCancelled

logger = logging.getLogger(__name__)

ProgressSink = Callable[[int, int | None, str], None]


@dataclass(slots=True)
class Job:
    """One run of a command, seen from the child process that runs it."""

    id: str
    """The Celery task id; the job directory is keyed by it, so a redelivered job finds what it left."""
    type: str
    directory: Path
    """A private folder that lasts over redeliveries of this job."""
    artifacts: ArtifactStore
    created_at: float | None = None
    """When the command was created, seconds since the epoch; None when it isn't known."""
    started_at: float = field(default_factory=time.time)
    attempt: int = 1
    delivery: int = 1
    _report: ProgressSink = field(default=lambda current, total, message: None, repr=False)
    _cancelled: str | None = field(default=None, repr=False)
    _on_cancel: list[Callable[[], None]] = field(default_factory=list, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def queue_wait(self) -> float | None:
        """Seconds between the command's creation and this run's start."""
        return None if self.created_at is None else max(0.0, self.started_at - self.created_at)

    @property
    def cancelled(self) -> bool:
        """True once the job should stop."""
        return self._cancelled is not None

    def progress(self, current: int, total: int | None = None, message: str = "") -> None:
        """Report progress; call it as often as you like, it is throttled on the way (about two a second)."""
        self._report(int(current), None if total is None else int(total), message)

    def checkpoint(self) -> None:
        """Stop here when the job was cancelled.

        Raises:
            JobCancelled: the job was cancelled, ran out of time, or is handed back.
        """
        if self._cancelled is not None:
            raise JobCancelled(self._cancelled)

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, from another thread, as soon as the job should stop; at once when it already should."""
        with self._lock:
            if self._cancelled is None:
                self._on_cancel.append(callback)
                return
        callback()

    def cancel(self, reason: str) -> None:
        """Mark the job as to be stopped; only the first reason counts. Called by the runtime."""
        with self._lock:
            if self._cancelled is not None:
                return
            self._cancelled = reason
            callbacks, self._on_cancel = self._on_cancel, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                logger.exception("an on_cancel callback of job %s failed", self.id)

    def artifact(self, path: Path, *, name: str | None = None, media_type: str | None = None) -> dict[str, Any]:
        """Store a file and return its claim check: `{name, uri, size, sha256, media_type}`."""
        return self.artifacts.put(self.id, path, name=name or path.name, media_type=media_type).model_dump()
