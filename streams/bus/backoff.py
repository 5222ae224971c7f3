"""How long a command waits before its next delivery after a transient failure."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, with full jitter on the upper half: `base * 2**n`, at most `cap`."""

    base: timedelta = timedelta(seconds=2)
    cap: timedelta = timedelta(minutes=5)

    def delay(self, delivery: int) -> timedelta:
        """The wait after delivery number `delivery` (from 1) failed."""
        full: timedelta = min(self.cap, self.base * 2 ** min(delivery - 1, 30))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
