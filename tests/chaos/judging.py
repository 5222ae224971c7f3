"""What came of each job, against what had to come of it. Pure: `facts.py` looks at the system, this decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos.jobs import Job, Operator, Outcome, Unit

ENDED = frozenset({"SUCCESS", "FAILURE", "REVOKED"})


class Violation(StrEnum):
    """What may never be."""

    LOST = "lost"
    """It never came to an end."""
    TWICE = "applied twice"
    """It was dispatched more often than it was sent, or ran more than once though it may run once only, or a second, other outcome came after the first."""
    WRONG = "wrong result"
    """Another value, another error, or another end than it had to have."""
    CANCELLED = "cancel, then SUCCESS"
    """A cancel was accepted, and the task succeeded."""


class Verdict(StrEnum):
    """What came of a job that is as it should be."""

    SUCCEEDED = "succeeded"
    FAILED = "failed as it should"
    REVOKED = "cancelled as it should"
    USED_UP = "used up"
    """So many faults hit it that its deliveries were used up: a dead letter, which is what has to come of it then; or it waited for such a one."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the system says of a job at the end."""

    status: str = "PENDING"
    value: int | None = None
    error: str = ""
    """Name of its exception's type."""
    publishes: int = 0
    """How often it was dispatched: publishes that the ledger knows."""
    other_ends: tuple[str, ...] = ()
    """Terminal states that were heard of, in their order, each change once."""
    cancel_answers: tuple[str, ...] = ()
    """What `cancel_task` answered; `flagged` when no publish was known yet."""
    cancel_in_ledger: bool = False
    is_used_up: bool = False
    """There is a dead letter of it, after as many deliveries as there may be."""
    runs: int = 0
    """How often its handler was entered."""
    redrives: int = 0
    """How often it was redriven."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One job."""

    job: Job
    facts: Facts
    verdict: Verdict | None
    violations: tuple[Violation, ...] = ()


def judge(units: Iterable[Unit], facts: Mapping[str, Facts]) -> list[Judged]:
    """Every job of these units."""
    return [judged for unit in units for judged in _judge_unit(unit, facts)]


def _judge_unit(unit: Unit, facts: Mapping[str, Facts]) -> list[Judged]:
    def is_used_up(job: Job) -> bool:
        return (
            job.outcome is not Outcome.FAILURE
            and job.operator is not Operator.REDRIVE
            and facts[job.id].status == "FAILURE"
            and facts[job.id].is_used_up
        )

    excused = any(map(is_used_up, unit.all_jobs))
    return [_judge(job, facts[job.id], excused=excused) for job in unit.all_jobs]


def _judge(job: Job, facts: Facts, *, excused: bool) -> Judged:
    violations = []
    if facts.status == "SUCCESS" and (facts.cancel_in_ledger or {"accepted", "flagged"} & set(facts.cancel_answers)):
        violations.append(Violation.CANCELLED)
    ran_again = job.most_runs is not None and facts.runs > job.most_runs
    if facts.publishes > job.most_publishes + facts.redrives or len(facts.other_ends) > 1 + facts.redrives or ran_again:
        violations.append(Violation.TWICE)
    if facts.status not in ENDED and not excused:
        violations.append(Violation.LOST)
    verdict = _verdict(job, facts)
    if verdict is None and excused and facts.status != "SUCCESS":
        verdict = Verdict.USED_UP
    if verdict is None and not violations:
        violations.append(Violation.WRONG)
    return Judged(job, facts, None if violations else verdict, tuple(violations))


def _verdict(job: Job, facts: Facts) -> Verdict | None:
    """None when it isn't as it should be."""
    match facts.status:
        case "SUCCESS" if job.outcome is not Outcome.FAILURE and facts.value == job.value and facts.publishes >= max(1, job.fewest_publishes):
            return Verdict.SUCCEEDED
        case "FAILURE" if job.outcome in {Outcome.FAILURE, Outcome.ONCE} and facts.error in job.errors:
            return Verdict.FAILED
        case "REVOKED" if job.outcome is Outcome.CANCELLABLE:
            return Verdict.REVOKED
        case _:
            return None
