"""About workers and what waits for them."""

from __future__ import annotations

from collections.abc import Iterator

from streams.health.judged import judged_groups
from streams.health.reasons import LOOK, Level, Reason, duration, reached
from streams.health.snapshot import Deliveries, Snapshot, StreamRole
from streams.health.thresholds import Thresholds


def no_worker(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """Commands wait, and no worker of their service is alive."""
    for service in snapshot.services:
        if service.waiting.at_least == 0 or service.workers or not thresholds.nobody_seconds:
            continue
        waited = service.oldest_waiting_seconds or 0.0
        level = Level.CRITICAL if waited >= thresholds.nobody_seconds else Level.DEGRADED
        yield Reason(
            kind="no_worker",
            level=level,
            where=service.name,
            what=f"{service.waiting} commands wait for {duration(waited)}, and no {service.name} worker is alive",
            value=waited,
            threshold=thresholds.nobody_seconds,
            to_type=f"python -m workers {service.name}",
        )


def waiting(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """Too many commands wait."""
    for service in snapshot.services:
        at = reached(service.waiting.at_least, thresholds.waiting, thresholds.waiting_critical)
        if at is not None:
            yield Reason(
                kind="waiting",
                level=at[0],
                where=service.name,
                what=f"{service.waiting} commands wait for {service.workers} workers",
                value=service.waiting.at_least,
                threshold=at[1],
                to_type=f"{LOOK} lag; then start more workers: python -m workers {service.name} -c <jobs at a time>",
            )


def queue_wait(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """A command waits too long."""
    for service in snapshot.services:
        waited = service.oldest_waiting_seconds or 0.0
        at = reached(waited, thresholds.wait_seconds, thresholds.wait_critical_seconds)
        if at is not None:
            yield Reason(
                kind="queue_wait",
                level=at[0],
                where=service.name,
                what=f"the oldest command waits for {duration(waited)}",
                value=waited,
                threshold=at[1],
                to_type=f"{LOOK} lag; then start more workers: python -m workers {service.name} -c <jobs at a time>",
            )


def lag_unknown(snapshot: Snapshot, _: Thresholds) -> Iterator[Reason]:
    """How much a group has still to read can't be told."""
    for stream, group in judged_groups(snapshot):
        if group.lag.entries is None:
            yield Reason(
                kind="lag_unknown",
                level=Level.DEGRADED,
                where=f"{stream.name} {group.name}",
                what=f"the lag is unknown, at least {group.lag.at_least:,}: {group.lag.why_unknown}",
                value=None,
                threshold=None,
                to_type="start a bridge if there is none, or raise HEALTH_COUNT_LIMIT",
            )


def abandoned(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """Entries of dead consumers that nobody claims."""
    for stream, group in judged_groups(snapshot):
        limit = thresholds.abandoned_leases * snapshot.lease_seconds
        if limit and (group.longest_abandoned_seconds or 0.0) >= limit:
            yield Reason(
                kind="abandoned",
                level=Level.DEGRADED,
                where=f"{stream.name} {group.name}",
                what=f"{group.abandoned:,} entries are held by consumers that are gone, the longest for {duration(group.longest_abandoned_seconds or 0.0)}",
                value=group.longest_abandoned_seconds,
                threshold=limit,
                to_type=f"{LOOK} doctor; a live worker or bridge claims them after a lease",
            )


def deliveries(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """Commands whose workers died under them."""
    for stream, group in judged_groups(snapshot):
        count = _delivered_at_least(group.deliveries, thresholds.deliveries)
        if stream.role is StreamRole.COMMANDS and count:
            yield Reason(
                kind="deliveries",
                level=Level.DEGRADED,
                where=f"{stream.name} {group.name}",
                what=f"{count:,} jobs were delivered {thresholds.deliveries} times or more: their workers died, or lost their leases",
                value=count,
                threshold=thresholds.deliveries,
                to_type=f"{LOOK} doctor; the workers' logs say what killed them",
            )


def _delivered_at_least(counts: Deliveries, times: int) -> int:
    return sum((counts.once, counts.twice, counts.thrice, counts.more)[times - 1 :]) if times else 0
