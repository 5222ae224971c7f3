"""Counting the pairs whose indicators are done: freqtrade doesn't, and it may take minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def tell_indicators(strategy: Any, tell: Callable[[int], None]) -> None:
    """Call `tell` with the number of pairs that are done, after each. `del strategy.advise_indicators` ends it."""
    advise, done = strategy.advise_indicators, 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal done
        frame = advise(*args, **kwargs)
        done += 1
        tell(done)
        return frame

    strategy.advise_indicators = counted
