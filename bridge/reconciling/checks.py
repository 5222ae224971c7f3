"""Every check of the reconciler, and all of them together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

from bridge.connection import Connection
from bridge.reconciling.jobs import stuck_jobs
from bridge.reconciling.lost import tasks_without_ledger
from bridge.reconciling.lost_messages import lost_messages
from bridge.reconciling.problems import Problem
from bridge.reconciling.retries import missing_retries
from bridge.reconciling.states import states_of_others
from bridge.reconciling.thresholds import ReconcilerSettings
from bridge.reconciling.waiting import newer_messages, overdue_delayed, results_without_job, services_without_workers

logger = logging.getLogger(__name__)

Check = Callable[[Connection, ReconcilerSettings], Iterator[Problem]]
CHECKS: Final[tuple[Check, ...]] = (
    services_without_workers,
    overdue_delayed,
    lost_messages,
    stuck_jobs,
    missing_retries,
    states_of_others,
    results_without_job,
    newer_messages,
)
SLOW_CHECKS: Final[tuple[Check, ...]] = (tasks_without_ledger,)
"""Only when somebody asks."""


def find_problems(connection: Connection, *, slow: bool = False, settings: ReconcilerSettings | None = None) -> Iterator[Problem]:
    """Everything that is stuck, check by check.

    Args:
        connection: of the app.
        slow: also look through every result.
        settings: by default read from the environment.

    Raises:
        redis.RedisError: a server is away.
    """
    settings = settings or ReconcilerSettings.load()
    for check in (*CHECKS, *(SLOW_CHECKS if slow else ())):
        yield from check(connection, settings)
