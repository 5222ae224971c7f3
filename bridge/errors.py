"""What a caller's `.get()` may raise.

    JobError
    ├── BadPayload           the task's payload isn't valid; nothing was sent to a worker
    ├── RemoteError          the job raised this in its worker; carries the remote type, message and traceback
    ├── DeadLettered         its deliveries are used up (reason `exhausted`); a later run may work: fit for `autoretry_for`
    ├── PoisonCommand        it took its worker down each time (or is no valid command): running it again would do the same
    ├── UncertainOutcome     an at-most-once job (`at_most_once=True`) may or may not have done its work: look before you send it again
    ├── NotMappable          `map`, `starmap` and `chunks` run a task's body inside one Celery worker; the message shows the group
    └── EagerUnavailable     a job can't be run in this process's environment; the message names what to install

A remote exception whose class is loaded here comes as itself (`except ValueError`), with the remote traceback as its cause.

A cancelled or expired job is Celery's own REVOKED: `.get()` raises `celery.exceptions.TaskRevokedError`.

All of them survive Celery's JSON: their arguments are plain, and they are rebuilt from them.
"""

from __future__ import annotations

from streams.errors import BridgeSystemError


class JobError(BridgeSystemError):
    """A job failed."""


class BadPayload(JobError):
    """The task's payload isn't valid; the message names each wrong key. Nothing was sent to a worker."""


class RemoteError(JobError):
    """The job raised an exception in its worker."""

    def __init__(self, type: str, message: str = "") -> None:  # noqa: A002 - the field's name on the wire
        super().__init__(type, message)
        self.type, self.message = type, message

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type


class _Parked(JobError):
    """The job's command is parked as a dead letter."""

    def __init__(self, reason: str, message: str = "", deliveries: int = 0, dead_letter_id: str = "") -> None:
        super().__init__(reason, message, deliveries, dead_letter_id)
        self.reason, self.message, self.deliveries, self.dead_letter_id = reason, message, deliveries, dead_letter_id

    def __str__(self) -> str:
        return f"{self.reason} after {self.deliveries} deliveries (dead letter {self.dead_letter_id or 'unknown'}): {self.message}"


class DeadLettered(_Parked):
    """The job's deliveries are used up by passing troubles; it may be tried again."""


class PoisonCommand(_Parked):
    """No worker survives the job's command, or none can read it; trying again would do the same."""


class UncertainOutcome(_Parked):
    """A job that may run once only was begun, and its worker died or lost its connection: whether its work is done isn't known. Nothing runs it again."""


class NotMappable(JobError, TypeError):
    """`map`, `starmap` and `chunks` would run the jobs inside one Celery worker."""


class EagerUnavailable(JobError):
    """The job was to run here (`apply()`, a direct call, `task_always_eager`), and the packages that run it aren't installed."""


class RemoteTraceback(Exception):
    """The traceback of the worker's process, as the `__cause__` of what is raised here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"
