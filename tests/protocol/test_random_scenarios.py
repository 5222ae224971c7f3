"""Thousands of random scenarios on a real server, none of which may break an invariant.

`PROTOCOL_SECONDS=300` looks for longer; `PROTOCOL_SEED=...` repeats one scenario that failed.
"""

from __future__ import annotations

import os
import secrets
from itertools import count

import pytest

from streams.bus.clients import connect
from streams.bus.functions import load_library
from tests.protocol.search import explore

SECONDS = float(os.environ.get("PROTOCOL_SECONDS", "20"))
SEED = os.environ.get("PROTOCOL_SEED")


@pytest.mark.timeout(SECONDS + 60)
def test_no_interleaving_breaks_an_invariant(redis_url: str) -> None:
    with connect(redis_url) as client:
        load_library(client)
        seeds = iter([int(SEED)]) if SEED else count(secrets.randbelow(1 << 40))
        done, finding = explore(client, seeds, seconds=SECONDS)
    assert finding is None, f"after {done} scenarios\n{finding}"
    print(f"{done} scenarios in {SECONDS:g} s")
