"""What is to be sent when a run has ended: decided here as a value, sent in `workers.run`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from streams.jobs.messages import DeadReason, JobErrorInfo, ResultStatus
from workers.limits import time_limit_exceeded
from workers.outcome import Cancelled, Crashed, Failed, Outcome, Succeeded


class StopReason(StrEnum):
    """Why a run is being ended from outside."""

    CANCELLED = "cancelled"
    TIME_LIMIT = "time limit"
    MEMORY_LIMIT = "memory limit"
    HANDED_BACK = "handed back"
    LOST = "lease lost"


@dataclass(frozen=True, slots=True)
class Finish:
    """Send a result."""

    status: ResultStatus
    data: Any = None
    error: JobErrorInfo | None = None


@dataclass(frozen=True, slots=True)
class RunAgain:
    """Deliver the command again later; when its deliveries are used up it is parked for `reason`."""

    error: JobErrorInfo
    reason: DeadReason


@dataclass(frozen=True, slots=True)
class HandBack:
    """Give the entry back: this run doesn't count."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Send nothing: another worker has the job."""


Decision = Finish | RunAgain | HandBack | Drop


def decide(outcome: Outcome, stop: StopReason | None, *, time_limit_seconds: float | None = None, max_rss_mib: float | None = None) -> Decision:
    """What becomes of a run.

    Args:
        outcome: how its job ended.
        stop: why it was ended from outside, if it was. A job that succeeded all the same has succeeded; a cancel then wins in the bridge.
        time_limit_seconds: for the error.
        max_rss_mib: for the message.
    """
    if stop is StopReason.LOST:
        return Drop()
    if isinstance(outcome, Succeeded):
        return Finish(ResultStatus.SUCCEEDED, data=outcome.data)
    match stop:
        case StopReason.HANDED_BACK:
            return HandBack()
        case StopReason.TIME_LIMIT:
            return Finish(ResultStatus.FAILED, error=time_limit_exceeded(time_limit_seconds or 0.0, _traceback(outcome)))
        case StopReason.MEMORY_LIMIT:
            message = f"the job used more than WORKER_MAX_RSS_MIB={max_rss_mib:g}"
            return Finish(ResultStatus.FAILED, error=JobErrorInfo(type="MemoryLimitExceeded", message=message, traceback=_traceback(outcome)))
        case StopReason.CANCELLED:
            return Finish(ResultStatus.CANCELLED)
        case _:
            return _by_outcome(outcome)


def _by_outcome(outcome: Failed | Cancelled | Crashed) -> Decision:
    if isinstance(outcome, Cancelled):
        return Finish(ResultStatus.CANCELLED)
    if isinstance(outcome, Crashed):
        return RunAgain(JobErrorInfo(type="WorkerCrashed", message=str(outcome), retryable=True), DeadReason.POISON)
    if outcome.error.retryable:
        return RunAgain(outcome.error, DeadReason.EXHAUSTED)
    return Finish(ResultStatus.FAILED, error=outcome.error)


def _traceback(outcome: Outcome) -> str:
    return outcome.error.traceback if isinstance(outcome, Failed) else ""
