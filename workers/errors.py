"""What a handler may raise, and what that means for the job.

    JobFailure               the job's final failure; nothing but Celery's own retry runs it again
    ├── BadRequest           the command's data is wrong: say which key, why, and what would be right
    ├── MissingDependency    a package is not installed: names the extra to install
    └── DataMissing          an input file isn't there: names the file looked for
    Retryable                a passing trouble: the stream layer runs the job again later, with backoff
    SoftTimeLimit            raised in the job when its soft time limit has passed; a handler cleans up, and may still return a result
    JobCancelled             raised by `Job.checkpoint()`; a handler cleans up and lets it pass

Any other exception is a failure too, reported with its own type, message and traceback.
"""

from __future__ import annotations

from streams.errors import BridgeSystemError


class JobFailure(BridgeSystemError):
    """The job can't succeed; running it again would fail in the same way."""


class BadRequest(JobFailure):
    """The command's data is wrong; the message names the key, the reason and what would be right."""


class MissingDependency(JobFailure):
    """A package that this job needs is not installed here; the message names the extra to install."""


class DataMissing(JobFailure):
    """An input file isn't there; the message names the file looked for."""


class Retryable(BridgeSystemError):
    """A passing trouble (a lost connection, a full disk): run the job again later, with backoff."""


class SoftTimeLimit(BaseException):
    """The job's soft time limit has passed: clean up, and end before the hard one. A BaseException, as JobCancelled is.

    A handler that lets it pass fails with Celery's `SoftTimeLimitExceeded`.
    """


class JobCancelled(BaseException):
    """The job was cancelled, timed out or is handed back. A BaseException, so that no `except Exception` in an engine eats it."""

    def __init__(self, reason: str = "cancelled") -> None:
        super().__init__(reason)
        self.reason = reason
