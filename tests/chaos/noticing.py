"""What the processes' logs say of duplicates that were recognised, and of leases that were lost."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

DUPLICATE_DISPATCHES: Final = "messages delivered twice, dispatched once"
SUPERSEDED: Final = "results superseded by another, kept aside"
REPEATED: Final = "results read again after they were resolved"
REPLAYED: Final = "results resolved again from the start"
LOST_LEASES: Final = "runs ended at a refused heartbeat"
REFUSED: Final = "results of lost runs refused"
NO_HEARTBEAT: Final = "heartbeats that didn't come through"

PATTERNS: Final[dict[str, re.Pattern[str]]] = {
    DUPLICATE_DISPATCHES: re.compile(r"task \S+: chaos\.work duplicate, run"),
    SUPERSEDED: re.compile(r"result \S+ of task .*: (superseded|unknown), kept aside"),
    REPEATED: re.compile(r"result \S+ of task .*: repeated, kept aside"),
    REPLAYED: re.compile(r"had begun before; it is resolved again"),
    LOST_LEASES: re.compile(r"this worker lost its lease"),
    REFUSED: re.compile(r"job \S+ \(chaos\.work, delivery \d+\): lost$"),
    NO_HEARTBEAT: re.compile(r"no heartbeat \("),
}


def notices(logs: Iterable[Path]) -> dict[str, int]:
    """How often each was logged, over all processes."""
    counts = Counter(dict.fromkeys(PATTERNS, 0))
    for log in logs:
        with log.open(errors="replace") as lines:
            for line in lines:
                counts.update(what for what, pattern in PATTERNS.items() if pattern.search(line.rstrip()))
    return dict(counts)
