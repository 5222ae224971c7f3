"""A suspect runs alone: a job whose worker died under it before. Should it take this one down too, it takes no other job with it, and is poison for sure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
    """Where the jobs of one worker run: many at a time, or one suspect. They enter in the order of their coming, so that a suspect's turn comes."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._inside = 0
        self._alone = False
        self._queue: list[object] = []
        self._suspects = 0

    @property
    def has_suspect(self) -> bool:
        """Whether one runs or waits: nothing else is to be read meanwhile, as it couldn't begin."""
        return self._suspects > 0

    @asynccontextmanager
    async def entered(self, *, alone: bool) -> AsyncIterator[None]:
        """Inside, the job may run."""
        place = object()
        self._queue.append(place)
        self._suspects += alone
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: self._queue[0] is place and not self._alone and not (alone and self._inside))
                self._queue.remove(place)
                self._inside, self._alone = self._inside + 1, alone
                self._changed.notify_all()
            try:
                yield
            finally:
                self._inside, self._alone = self._inside - 1, False
        finally:
            self._suspects -= alone
            if place in self._queue:
                self._queue.remove(place)
            async with self._changed:
                self._changed.notify_all()
