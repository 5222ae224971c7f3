"""`base * 2**n`, less up to half of it, at most `cap`."""

from __future__ import annotations

from datetime import timedelta

import pytest

from streams.bus.backoff import Backoff

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(("delivery", "full"), [(1, 2), (2, 4), (3, 8), (7, 128), (8, 200), (1000, 200)])
def test_it_doubles_up_to_the_cap_with_jitter(delivery: int, full: int) -> None:
    delays = [Backoff(2 * SECOND, 200 * SECOND).delay(delivery) / SECOND for _ in range(300)]
    assert full / 2 <= min(delays) < full * 0.6
    assert full * 0.9 < max(delays) <= full
