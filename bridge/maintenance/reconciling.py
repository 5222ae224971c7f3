"""What is stuck is looked for now and then, repaired as far as the protocol allows, told in the log, and counted: what is returned
is noted in `Keys.upkeep`, where metrics and `streams health` find it.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Final

from bridge.connection import Connection
from bridge.reconciling import find_problems, repair

logger = logging.getLogger(__name__)

MOST_LOGGED: Final = 10
"""Of one kind, in one pass."""


def reconcile(connection: Connection) -> dict[str, int]:
    """Find and repair; returns how many of which kind are left."""
    found: Counter[str] = Counter()
    left: Counter[str] = Counter()
    for problem in find_problems(connection):
        kind = str(problem.kind)
        repaired = repair(problem)
        found[kind] += 1
        left[kind] += not repaired.done
        if found[kind] <= MOST_LOGGED:
            logger.warning("reconciler: %s: %s: %s; %s", kind, problem.what, problem.why, repaired.words)
    for kind, count in found.items():
        if count > MOST_LOGGED:
            logger.warning("reconciler: %s: %d in all; `celery streams doctor` shows them", kind, count)
    return {kind: count for kind, count in left.items() if count}
