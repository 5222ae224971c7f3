"""Task states of bridged tasks, and the order in which they may be written (protocol R2)."""

from __future__ import annotations

from typing import Final

from celery import states

DISPATCHED: Final = "DISPATCHED"
"""The command is on its stream; the Celery worker is free."""
PROGRESS: Final = "PROGRESS"
"""Running, and has told how far it is: `AsyncResult.info` is `{current, total, message, worker}`."""
DEAD_LETTERED: Final = "DEAD_LETTERED"
"""Its command is a dead letter, and the task (`on_dead_letter="park"`) waits for an operator: `AsyncResult.info` is `{reason, message, dead_letter_id,
deliveries, worker}`."""

BEGUN_RANK: Final = 7
"""Raised before the first effect of a result: nothing non-terminal of this run may be written any more."""
TERMINAL_RANK: Final = 9
_RANKS: Final = {DISPATCHED: 1, states.STARTED: 2, PROGRESS: 3, states.RETRY: 8, DEAD_LETTERED: 8}
_CUSTOM_RANK: Final = 3


def rank(state: str) -> int:
    """How far a state is; a state of the user's own counts as progress."""
    return TERMINAL_RANK if is_terminal(state) else _RANKS.get(state, _CUSTOM_RANK)


def is_terminal(state: str) -> bool:
    """Whether nothing comes after it."""
    return state in states.READY_STATES
