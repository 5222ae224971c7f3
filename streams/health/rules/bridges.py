"""About bridges and what waits for them."""

from __future__ import annotations

from collections.abc import Iterator

from streams.bus.topology import MANAGEMENT_CONSUMERS
from streams.health.judged import bridges_groups
from streams.health.reasons import LOOK, Level, Reason, duration, reached
from streams.health.snapshot import Group, Snapshot, Stream, StreamRole
from streams.health.thresholds import Thresholds


def no_bridge(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """Nobody resolves results."""
    if not thresholds.nobody_seconds or any(group.alive for _, group in bridges_groups(snapshot)):
        return
    oldest = max((_age(group) for stream, group in bridges_groups(snapshot) if stream.role is StreamRole.RESULTS), default=0.0)
    unjoined = max((stream.oldest_age_seconds or 0.0 for stream in snapshot.streams if _has_no_bridge(stream)), default=0.0)
    waited = max(oldest, unjoined)
    yield Reason(
        kind="no_bridge",
        level=Level.CRITICAL if waited >= thresholds.nobody_seconds else Level.DEGRADED,
        where="results",
        what=f"no bridge is alive{f', and a result waits for {duration(waited)}' if waited else ''}: no task gets its outcome",
        value=waited,
        threshold=thresholds.nobody_seconds,
        to_type="celery -A tasks bridge",
    )


def _has_no_bridge(stream: Stream) -> bool:
    return stream.role is StreamRole.RESULTS and stream.length > 0 and stream.group(MANAGEMENT_CONSUMERS) is None


def _age(group: Group) -> float:
    """Of the oldest entry that the group has still to deal with."""
    return max(group.oldest_unread_age_seconds or 0.0, group.oldest_pending_age_seconds or 0.0)


def results_behind(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """The bridges don't keep up."""
    for stream, group in bridges_groups(snapshot):
        unread = group.oldest_unread_age_seconds or 0.0
        at = reached(unread, thresholds.results_seconds, thresholds.results_critical_seconds)
        if at is not None:
            yield Reason(
                kind="results_behind",
                level=at[0],
                where=f"{stream.name} {group.name}",
                what=f"{group.lag} entries are unread by the bridges, the oldest for {duration(unread)}",
                value=unread,
                threshold=at[1],
                to_type="celery -A tasks bridge -n bridge2@%h, for one more; its log says what a bridge waits for",
            )


def unresolved(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """A result that can't be resolved, time and again."""
    for stream, group in bridges_groups(snapshot):
        pending = group.oldest_pending_age_seconds or 0.0
        if stream.role is StreamRole.RESULTS and thresholds.unresolved_seconds and pending >= thresholds.unresolved_seconds:
            yield Reason(
                kind="unresolved",
                level=Level.DEGRADED,
                where=f"{stream.name} {group.name}",
                what=f"{group.pending:,} results are read and not resolved, the oldest came {duration(pending)} ago",
                value=pending,
                threshold=thresholds.unresolved_seconds,
                to_type=f"{LOOK} doctor; the bridge's log says why ('can't be resolved now')",
            )


def overdue(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """Delayed commands that nobody puts back."""
    for service in snapshot.services:
        at = reached(service.most_overdue_seconds, thresholds.overdue_seconds, thresholds.overdue_critical_seconds)
        if at is not None:
            yield Reason(
                kind="overdue",
                level=at[0],
                where=service.name,
                what=f"{service.overdue:,} delayed commands are overdue, by {duration(service.most_overdue_seconds)} at most: nobody puts them back",
                value=service.most_overdue_seconds,
                threshold=at[1],
                to_type=f"celery -A tasks bridge, if there is none; {LOOK} doctor",
            )
