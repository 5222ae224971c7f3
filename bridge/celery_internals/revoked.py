"""REVOKED, as a Celery worker announces it."""

from __future__ import annotations

from celery import states
from celery.exceptions import TaskRevokedError
from celery.platforms import signals as signal_numbers
from celery.worker.request import Request


def announce_revoked(request: Request, reason: str, signum: int | None = None) -> None:
    """REVOKED for a job that was cancelled, or had expired: state, event, signal, chord part and chain.

    Args:
        request: of the task.
        reason: `revoked`, `expired` or `terminated`.
        signum: of the signal that stopped it while it ran.
    """
    request._announce_revoked(reason, signum is not None, signum, reason == "expired")
    fail_revoked_chain(request, reason)


def signal_number(name: str | int | None) -> int:
    """The number of a signal as `revoke` takes it, such as `KILL` or `SIGINT`; SIGTERM by default."""
    return int(signal_numbers.signum(name or "TERM"))


def fail_revoked_chain(request: Request, reason: str) -> None:
    """The tasks after a revoked one never run. Celery leaves them PENDING."""
    if request._context.chain:
        request.app.backend._fail_chain(request._context.chain, TaskRevokedError(reason), state=states.REVOKED)
