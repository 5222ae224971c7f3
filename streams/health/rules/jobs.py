"""About dead letters, parked jobs, what the reconciler found, and upkeep that failed."""

from __future__ import annotations

from collections.abc import Iterator

from streams.health.reasons import LOOK, Level, Reason, duration, reached
from streams.health.snapshot import LATELY_COUNTED, ServiceHealth, Snapshot
from streams.health.thresholds import Thresholds


def dead_letters(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """Commands that became dead letters lately."""
    for service in snapshot.services:
        lately = service.dead_letters.lately or 0
        at = reached(lately, thresholds.dead_letters, thresholds.dead_letters_critical)
        if at is not None:
            yield Reason(
                kind="dead_letters",
                level=at[0],
                where=service.name,
                what=f"{_at_most(lately)} dead letters within {duration(thresholds.dead_letters_seconds)}, {_reasons(service)}",
                value=lately,
                threshold=at[1],
                to_type=f"{LOOK} dead list --service {service.name}",
            )


def _at_most(count: int) -> str:
    return f"{count:,} or more" if count >= LATELY_COUNTED else f"{count:,}"


def _reasons(service: ServiceHealth) -> str:
    counted = ", ".join(f"{reason} {count:,}" for reason, count in sorted(service.dead_letters.by_reason.items()))
    return f"{service.dead_letters.total:,} in all ({counted or 'of unknown reasons'})"


def parked(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """Jobs that wait for an operator."""
    if thresholds.parked and snapshot.jobs.parked >= thresholds.parked:
        whose = ", ".join(f"{service.name} {service.parked}" for service in snapshot.services if service.parked)
        yield Reason(
            kind="parked",
            level=Level.DEGRADED,
            where=whose or "jobs",
            what=f"{snapshot.jobs.parked:,} jobs are parked and wait for an operator, the oldest for {duration(snapshot.jobs.oldest_parked_age_seconds or 0.0)}",
            value=snapshot.jobs.parked,
            threshold=thresholds.parked,
            to_type=f"{LOOK} dead list; then {LOOK} dead redrive, or dead discard",
        )


def findings(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """What the reconciler found and couldn't repair."""
    for kind, count in sorted(snapshot.findings.items()):
        if thresholds.findings and count >= thresholds.findings:
            yield Reason(
                kind="findings",
                level=Level.DEGRADED,
                where=kind,
                what=f"the reconciler found {count:,} and couldn't repair them",
                value=count,
                threshold=thresholds.findings,
                to_type=f"{LOOK} doctor",
            )


def upkeep(snapshot: Snapshot, _: Thresholds) -> Iterator[Reason]:
    """A work of upkeep failed when it was done last."""
    for work in snapshot.upkeep:
        if work.error:
            yield Reason(
                kind="upkeep",
                level=Level.DEGRADED,
                where=work.name,
                what=f"it failed: {work.error}",
                value=work.age_seconds,
                threshold=None,
                to_type="the log of the bridges (or of the worker that runs beat's tasks) says more; it is done again by itself",
            )
