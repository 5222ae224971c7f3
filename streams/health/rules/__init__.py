"""Every rule: a pure function of a snapshot and thresholds that yields what it finds.

Each kind of reason is explained in docs/operations.md: what it means and what to type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from streams.health.reasons import Reason
from streams.health.rules import bridges, jobs, server, workers
from streams.health.snapshot import Snapshot
from streams.health.thresholds import Thresholds

Rule = Callable[[Snapshot, Thresholds], Iterator[Reason]]

RULES: Final[tuple[Rule, ...]] = (
    server.replica,
    server.not_a_stream,
    bridges.no_bridge,
    workers.no_worker,
    server.memory,
    server.eviction,
    server.durability,
    workers.waiting,
    workers.queue_wait,
    bridges.results_behind,
    bridges.unresolved,
    bridges.overdue,
    workers.abandoned,
    workers.deliveries,
    jobs.dead_letters,
    jobs.parked,
    jobs.findings,
    jobs.upkeep,
    workers.lag_unknown,
    server.stream_size,
)
LAG_KINDS: Final = ("no_worker", "no_bridge", "waiting", "queue_wait", "results_behind", "unresolved", "overdue", "abandoned", "lag_unknown")
"""What `streams lag` judges by."""
