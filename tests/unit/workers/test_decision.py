"""What becomes of a run, by how its child ended and why it was stopped."""

from __future__ import annotations

import orjson
import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

from streams.jobs.messages import DeadReason, JobErrorInfo, ResultStatus
from workers.decision import Decision, Drop, Finish, HandBack, RunAgain, StopReason, decide
from workers.limits import soft_time_limit_exceeded, time_limit_exceeded
from workers.outcome import Cancelled, Crashed, Failed, Outcome, Succeeded

DONE = Succeeded(orjson.Fragment(b'{"a":1}'))
BAD = Failed(JobErrorInfo(type="ValueError", message="bad", traceback="there"))
PASSING = Failed(JobErrorInfo(type="ConnectionError", message="away", retryable=True))
KILLED = Crashed("killed by signal 9", None, "last words")
STOPPED = Cancelled("cancelled")


@pytest.mark.parametrize(
    ("outcome", "stop", "expected"),
    [
        (DONE, None, Finish(ResultStatus.SUCCEEDED, DONE.data)),
        (BAD, None, Finish(ResultStatus.FAILED, error=BAD.error)),
        (PASSING, None, RunAgain(PASSING.error, DeadReason.EXHAUSTED)),
        (STOPPED, StopReason.CANCELLED, Finish(ResultStatus.CANCELLED)),
        (KILLED, StopReason.CANCELLED, Finish(ResultStatus.CANCELLED)),
        (STOPPED, StopReason.HANDED_BACK, HandBack()),
        (KILLED, StopReason.HANDED_BACK, HandBack()),
    ],
)
def test_each_end_of_a_run_has_its_consequence(outcome: Outcome, stop: StopReason | None, expected: Decision) -> None:
    assert decide(outcome, stop) == expected


@pytest.mark.parametrize("stop", [StopReason.CANCELLED, StopReason.HANDED_BACK, StopReason.TIME_LIMIT, StopReason.MEMORY_LIMIT])
def test_a_job_that_succeeded_all_the_same_has_succeeded(stop: StopReason) -> None:
    assert decide(DONE, stop, time_limit_seconds=1, max_rss_mib=1) == Finish(ResultStatus.SUCCEEDED, DONE.data)


@pytest.mark.parametrize("outcome", [DONE, BAD, PASSING, KILLED, STOPPED])
def test_whoever_lost_the_lease_sends_nothing(outcome: Outcome) -> None:
    assert decide(outcome, StopReason.LOST) == Drop()


def test_a_crash_is_run_again_and_is_poison_in_the_end() -> None:
    decision = decide(KILLED, None)
    assert isinstance(decision, RunAgain)
    assert decision.reason == DeadReason.POISON
    assert "killed by signal 9" in decision.error.message
    assert "last words" in decision.error.message


def test_a_memory_limit_that_was_exceeded_is_named() -> None:
    decision = decide(STOPPED, StopReason.MEMORY_LIMIT, max_rss_mib=512)
    assert isinstance(decision, Finish)
    assert decision.error is not None
    assert (decision.status, decision.error.type) == (ResultStatus.FAILED, "MemoryLimitExceeded")
    assert "512" in decision.error.message


@pytest.mark.parametrize("seconds", [90.0, 0.5])
def test_a_time_limit_that_was_exceeded_is_told_as_celery_tells_it(seconds: float) -> None:
    decision = decide(Failed(JobErrorInfo(type="E", traceback="there")), StopReason.TIME_LIMIT, time_limit_seconds=seconds)
    assert isinstance(decision, Finish)
    assert (decision.status, decision.error) == (ResultStatus.FAILED, time_limit_exceeded(seconds, "there"))


@pytest.mark.parametrize(
    ("told", "celerys"),
    [
        (time_limit_exceeded(90.0), TimeLimitExceeded(90)),
        (time_limit_exceeded(0.5), TimeLimitExceeded(0.5)),
        (soft_time_limit_exceeded(), SoftTimeLimitExceeded()),
    ],
)
def test_the_errors_of_time_limits_are_celerys_own(told: JobErrorInfo, celerys: Exception) -> None:
    assert (told.module, told.type) == (type(celerys).__module__, type(celerys).__qualname__)
    assert (told.message, told.args) == (str(celerys), list(celerys.args))
