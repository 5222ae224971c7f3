"""The reconciler compares ledger, streams, pending lists and Celery's states, and finds what is stuck. It repairs what the protocol allows, and says what is to be
done about the rest: `celery -A tasks streams doctor`, and an upkeep of the bridge.
"""

from bridge.reconciling.checks import CHECKS, find_problems
from bridge.reconciling.problems import Kind, Problem, Repaired, repair

__all__ = ["CHECKS", "Kind", "Problem", "Repaired", "find_problems", "repair"]
