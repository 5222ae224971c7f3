"""What the reconciler finds, as values."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

logger = logging.getLogger(__name__)


class Kind(StrEnum):
    """What is wrong. Each has its section in docs/operations.md."""

    COMMAND_LOST = "command_lost"
    """A job is open, and its command is on no stream: it was deleted, or the server came back without it."""
    RESULT_LOST = "result_lost"
    """A result was written, and is gone from its stream although it was never resolved."""
    JOB_LOST = "job_lost"
    """A task isn't finished, and the streams' server knows nothing of it: it was flushed, or came back empty."""
    RESULT_WITHOUT_JOB = "result_without_job"
    """A result of a job that nobody has dispatched, or that ended too long ago."""
    NO_WORKER = "no_worker"
    """Jobs wait, and no worker of their service is there."""
    JOB_WITHOUT_OWNER = "job_without_owner"
    """A worker has taken a job up, is silent, and nobody has taken the job over."""
    RESULT_UNRESOLVED = "result_unresolved"
    """A result lies there, and no bridge finishes its task."""
    STATE_DISAGREES = "state_disagrees"
    """The state that callers see isn't what the ledger says."""
    DELAYED_OVERDUE = "delayed_overdue"
    """A job was put off, its time has come, and nobody has put it back on its stream."""
    PROGRESS_STALLED = "progress_stalled"
    """A job's worker is there, and the job hasn't reported any progress for long."""
    RETRY_WITHOUT_CHILD = "retry_without_child"
    """Celery was to retry a task, and the message of its retry hasn't arrived."""
    NEWER_SCHEMA = "newer_schema"
    """A message of a newer version of this system waits for somebody who can read it."""


class NotRepaired(Exception):
    """Raised by a fix that changed nothing; its text says why, and what follows."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is stuck."""

    kind: Kind
    what: str
    """A task, a service or a stream."""
    why: str
    """What was seen."""
    to_do: str
    """What `--fix` does, or what a person is to do."""
    fix: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    """Does it, and says what came out; None when only a person can decide."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {"kind": str(self.kind), "what": self.what, "why": self.why, "to_do": self.to_do, "fixable": self.fix is not None}


@dataclass(frozen=True, slots=True)
class Repaired:
    """What became of a problem."""

    problem: Problem
    done: bool
    words: str


def repair(problem: Problem) -> Repaired:
    """Repair it, if that is possible; another failure holds up no other repair."""
    if problem.fix is None:
        return Repaired(problem, done=False, words=problem.to_do)
    try:
        return Repaired(problem, done=True, words=problem.fix())
    except NotRepaired as exc:
        return Repaired(problem, done=False, words=str(exc))
    except Exception as exc:
        logger.exception("%s of %s can't be repaired now", problem.kind, problem.what)
        return Repaired(problem, done=False, words=f"{type(exc).__name__}: {exc}")
