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

    Whoever may have a delivery counted is present: a job from before it is taken up until its end is told, and a read of the streams. The suspect begins
    when nobody else is. So when it takes the worker down, no delivery of another job is counted for it.
    """

    def __init__(self) -> None:
        self._present = 0
        self._has_suspect = False
        self._left = asyncio.Event()

    @property
    def has_suspect(self) -> bool:
        """Whether one runs or waits for the others to end: nothing is to be read or taken up meanwhile."""
        return self._has_suspect

    def enter(self) -> None:
        """Somebody is present."""
        self._present += 1

    def leave(self) -> None:
        """And isn't any more."""
        self._present -= 1
        self._left.set()

    @contextmanager
    def occupied(self) -> Iterator[None]:
        """Somebody is present inside."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def reserve(self) -> bool:
        """Become the suspect; False when there is one already."""
        if self._has_suspect:
            return False
        self._has_suspect = True
        return True

    def release(self) -> None:
        """The suspect has ended."""
        self._has_suspect = False

    async def emptied(self) -> None:
        """Wait until nobody but the suspect is present."""
        while self._present > 1:
            self._left.clear()
            await self._left.wait()
