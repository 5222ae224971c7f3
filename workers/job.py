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
from workers.errors import JobCancelled, SoftTimeLimit

logger = logging.getLogger(__name__)

ProgressSink = Callable[[int, int | None, str], None]
Interrupt = Callable[[BaseException], None]


@dataclass(slots=True)
class Job:
    """One run of a command, seen by the handler that runs it."""

    id: str
    """The Celery task id; the job directory is keyed by it, so a redelivered job finds what it left."""
    type: str
    directory: Path
    """A private folder that lasts over redeliveries of this job."""
    artifacts: ArtifactStore
    log_file: Path | None = None
    """Where `log` writes, and all output of a job in a child process."""
    created_at: float | None = None
    """When the command was created, seconds since the epoch; None when it isn't known."""
    started_at: float = field(default_factory=time.time)
    attempt: int = 1
    delivery: int = 1
    _report: ProgressSink = field(default=lambda current, total, message: None, repr=False)
    _say: Callable[[str], None] = field(default=lambda message: None, repr=False)
    _cancelled: str | None = field(default=None, repr=False)
    _soft_limit_passed: bool = field(default=False, repr=False)
    _soft_limit_told: bool = field(default=False, repr=False)
    _interrupt: Interrupt | None = field(default=None, repr=False)
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

    def log(self, message: str) -> None:
        """Write a line to the job's log file, and tell it on the status stream (the last few of each half second, each cut at 2,000 characters)."""
        if self.log_file is not None:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            with self.log_file.open("a", encoding="utf-8", errors="backslashreplace") as log:
                log.write(f"{stamp} {message}\n")
        self._say(str(message))

    def checkpoint(self) -> None:
        """Stop here when the job was cancelled, or its soft time limit has passed.

        Raises:
            JobCancelled: the job was cancelled, ran out of time, or is handed back.
            SoftTimeLimit: once, unless it was raised in the job already.
        """
        if self._cancelled is not None:
            raise JobCancelled(self._cancelled)
        self.tell_soft_limit()

    def on_cancel(self, callback: Callable[[], None]) -> None:
        """Call `callback` once, from another thread, as soon as the job should stop (cancelled, or over its soft time limit); at once when it already should."""
        with self._lock:
            if self._cancelled is None and not self._soft_limit_passed:
                self._on_cancel.append(callback)
                return
        callback()

    def artifact(self, path: Path, *, name: str | None = None, media_type: str | None = None) -> dict[str, Any]:
        """Store a file and return its claim check: `{name, uri, size, sha256, media_type}`."""
        return self.artifacts.put(self.id, path, name=name or path.name, media_type=media_type).model_dump()

    # What the runtime calls.

    def cancel(self, reason: str) -> None:
        """Mark the job as to be stopped; only the first reason counts."""
        with self._lock:
            if self._cancelled is not None:
                return
            self._cancelled = reason
            interrupt, callbacks = self._interrupt, self._on_cancel
            self._on_cancel = []
        self._call(callbacks)
        if interrupt is not None:
            interrupt(JobCancelled(reason))

    def pass_soft_limit(self) -> None:
        """The soft time limit has passed: tell the job."""
        with self._lock:
            if self._cancelled is not None or self._soft_limit_passed:
                return
            self._soft_limit_passed = True
            interrupt, callbacks = self._interrupt, self._on_cancel
            self._on_cancel = []
        self._call(callbacks)
        if interrupt is not None:
            interrupt(SoftTimeLimit())

    def take_soft_limit(self) -> bool:
        """Whether the soft limit has passed and the job doesn't know: true once. No lock, as a signal's handler asks too."""
        if not self._soft_limit_passed or self._soft_limit_told:
            return False
        self._soft_limit_told = True
        return True

    def tell_soft_limit(self) -> None:
        """Raise `SoftTimeLimit` here, once, when it has passed."""
        if self.take_soft_limit():
            raise SoftTimeLimit

    def interrupt_with(self, interrupt: Interrupt | None) -> None:
        """How the running handler can be made to raise, from any thread; it is called at once with what came before."""
        with self._lock:
            self._interrupt = interrupt
            reason = self._cancelled
        if interrupt is not None and reason is not None:
            interrupt(JobCancelled(reason))
        elif interrupt is not None and self._soft_limit_passed:
            interrupt(SoftTimeLimit())

    def _call(self, callbacks: list[Callable[[], None]]) -> None:
        for callback in callbacks:
            try:
                callback()
            except Exception:
                logger.exception("an on_cancel callback of job %s failed", self.id)
