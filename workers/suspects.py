"""A suspect runs alone: a job whose worker died under it before. Should it take this one down too, it takes no other job with it, and is poison for sure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

CRASHES: Final = 2
"""A job is a suspect when so many workers have died under it, or one has and this is its last delivery."""


def is_suspect(crashes: int, delivery: int, max_deliveries: int) -> bool:
    """Whether a job is to run alone.

    Args:
        crashes: earlier runs whose worker died.
        delivery: which one this is, from 1.
        max_deliveries: which would be the last.
    """
    return crashes >= CRASHES or (crashes > 0 and delivery >= max_deliveries)


class Room:
    """What one worker has in hand: many jobs at a time, or one suspect.

    Whoever may have a delivery counted is present: a job from before it is taken up until its end is told, and a read of the streams. A suspect runs when
    nobody else is present; else it is handed back, and has its turn when the others have ended. So no death is counted for a job that didn't run.
    """

    def __init__(self) -> None:
        self.has_suspect = False
        """Whether one runs: nothing is read or taken up meanwhile."""
        self.wanted = False
        """Whether one was handed back: nothing new begins until the others have ended, and one job is read then, by itself."""
        self.decided = asyncio.Event()
        """Whoever was read has begun, or has ended."""
        self._present = 0

    def enter(self) -> None:
        """Somebody is present."""
        self._present += 1

    def leave(self) -> None:
        """And isn't any more."""
        self._present -= 1

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Somebody is present inside."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def take(self) -> bool:
        """A suspect asks for all of it. False while somebody else is present: it is handed back then."""
        if self._present > 1:
            self.wanted = True
            return False
        self.has_suspect = True
        return True

    def release(self) -> None:
        """The suspect has ended."""
        self.has_suspect = False
