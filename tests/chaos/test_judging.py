"""The judge finds what must not be: each violation, in facts that show it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.jobs import Job, Operator, Outcome, Task, Unit
from tests.chaos.judging import Facts, Judged, Verdict, Violation, judge

JOB = Job("job", 7)
WELL = Facts("SUCCESS", value=7, publishes=1, other_ends=("SUCCESS",))
FAILING = replace(JOB, outcome=Outcome.FAILURE, errors=("RemoteError",))
FAILED = Facts("FAILURE", error="RemoteError", publishes=1, other_ends=("FAILURE",))
CANCELLED = replace(JOB, outcome=Outcome.CANCELLABLE, fewest_publishes=0)
ONCE = replace(JOB, outcome=Outcome.ONCE, errors=("UncertainOutcome",), most_runs=1)
REVIVED = replace(JOB, operator=Operator.REDRIVE)


def judged(job: Job, facts: Facts) -> Judged:
    [one] = judge([Unit("unit", 0.0, (job,))], {job.id: facts})
    return one


@pytest.mark.parametrize(
    ("job", "facts", "verdict"),
    [
        (JOB, WELL, Verdict.SUCCEEDED),
        (FAILING, FAILED, Verdict.FAILED),
        (CANCELLED, Facts("REVOKED", cancel_answers=("accepted",), cancel_in_ledger=True, publishes=1), Verdict.REVOKED),
        (CANCELLED, Facts("REVOKED"), Verdict.REVOKED),
        (CANCELLED, replace(WELL, cancel_answers=("too late",)), Verdict.SUCCEEDED),
        (JOB, replace(FAILED, error="PoisonCommand", is_used_up=True), Verdict.USED_UP),
        (replace(JOB, task=Task.INSISTING, most_publishes=3), replace(WELL, publishes=3), Verdict.SUCCEEDED),
        (REVIVED, replace(WELL, publishes=2, other_ends=("FAILURE", "SUCCESS"), redrives=1), Verdict.SUCCEEDED),
        (ONCE, replace(WELL, runs=1), Verdict.SUCCEEDED),
        (ONCE, replace(FAILED, error="UncertainOutcome", runs=1), Verdict.FAILED),
    ],
)
def test_what_is_as_it_should_be(job: Job, facts: Facts, verdict: Verdict) -> None:
    assert (judged(job, facts).verdict, judged(job, facts).violations) == (verdict, ())


@pytest.mark.parametrize(
    ("job", "facts", "violation"),
    [
        (JOB, Facts(), Violation.LOST),
        (JOB, replace(WELL, status="RETRY"), Violation.LOST),
        (JOB, replace(WELL, publishes=2), Violation.TWICE),
        (JOB, replace(WELL, other_ends=("FAILURE", "SUCCESS")), Violation.TWICE),
        (JOB, replace(WELL, value=8), Violation.WRONG),
        (JOB, replace(WELL, publishes=0), Violation.WRONG),
        (JOB, FAILED, Violation.WRONG),
        (JOB, Facts("REVOKED", publishes=1), Violation.WRONG),
        (FAILING, WELL, Violation.WRONG),
        (FAILING, replace(FAILED, error="PoisonCommand"), Violation.WRONG),
        (CANCELLED, replace(WELL, cancel_answers=("accepted",)), Violation.CANCELLED),
        (CANCELLED, replace(WELL, cancel_answers=("flagged",)), Violation.CANCELLED),
        (CANCELLED, replace(WELL, cancel_in_ledger=True), Violation.CANCELLED),
        (REVIVED, replace(FAILED, error="DeadLettered", is_used_up=True, redrives=1), Violation.WRONG),
        (ONCE, replace(WELL, runs=2), Violation.TWICE),
        (ONCE, replace(FAILED, runs=1), Violation.WRONG),
        (REVIVED, replace(WELL, publishes=3, redrives=1), Violation.TWICE),
        (REVIVED, Facts("DEAD_LETTERED", publishes=1), Violation.LOST),
    ],
)
def test_what_must_not_be(job: Job, facts: Facts, violation: Violation) -> None:
    assert judged(job, facts).violations == (violation,)


def test_what_waits_for_a_job_whose_deliveries_were_used_up_is_excused_but_nothing_else_is() -> None:
    first, second, other = (replace(JOB, id=name) for name in ("first", "second", "other"))
    facts = {"first": replace(FAILED, error="PoisonCommand", is_used_up=True), "second": Facts(), "other": Facts()}
    verdicts = judge([Unit("chain", 0.0, (first, second)), Unit("single", 0.0, (other,))], facts)
    assert [each.verdict for each in verdicts] == [Verdict.USED_UP, Verdict.USED_UP, None]
    assert verdicts[2].violations == (Violation.LOST,)
