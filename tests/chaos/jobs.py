"""The jobs of a plan: each says what has to come of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """What has to come of a job."""

    SUCCESS = "success"
    FAILURE = "failure"
    CANCELLABLE = "cancellable"
    """REVOKED or SUCCESS: what the cancel was answered decides."""
    ONCE = "at most once"
    """SUCCESS after one run, or FAILURE with UncertainOutcome after one or none."""


class Operator(StrEnum):
    """What an operator does with a dead letter: one whose task has failed, or is parked (DEAD_LETTERED)."""

    REDRIVE = "redrive"
    DISCARD = "discard"
    REVOKE = "revoke"


class Task(StrEnum):
    """The tasks of `tests.chaos.app`."""

    WORK = "chaos.work"
    INSISTING = "chaos.insisting"
    RETRIED = "chaos.retried"
    TOTAL = "chaos.total"
    PARKING = "chaos.parking"
    ONCE = "chaos.once"


class CancelBy(StrEnum):
    """How a cancel is sent."""

    LEDGER = "ledger"
    """`cancel_task`, whose answer says what has to come of it."""
    REVOKE = "revoke"
    """Celery's broadcast, which answers nothing here: the ledger says at the end whether it was accepted."""


@dataclass(frozen=True, slots=True)
class Job:
    """One task: its id is known before it is sent."""

    id: str
    value: int
    """What it returns, if it succeeds: in chains and chords with what came before."""
    outcome: Outcome = Outcome.SUCCESS
    errors: tuple[str, ...] = ()
    """One of these exceptions it fails with."""
    task: Task = Task.WORK
    how: dict[str, object] = field(default_factory=dict, hash=False)
    """Arguments of the task beside its value."""
    own_value: int = 0
    """The argument `value`."""
    most_publishes: int = 1
    """How often it may be dispatched: once, and once more for each retry by Celery; each redrive that was made comes on top."""
    fewest_publishes: int = 1
    most_runs: int | None = None
    """How often it may run, where that is said."""
    operator: Operator | None = None
    """What is done with its dead letter."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Jobs that are sent together."""

    kind: str
    at: float
    """Seconds after the start."""
    jobs: tuple[Job, ...]
    link: Job | None = None
    errback: Job | None = None
    body: Job | None = None
    cancel_after: float | None = None
    """Seconds after it was sent, its first job is cancelled."""
    cancel_by: CancelBy = CancelBy.LEDGER

    @property
    def all_jobs(self) -> tuple[Job, ...]:
        return (*self.jobs, *(job for job in (self.link, self.errback, self.body) if job is not None))
