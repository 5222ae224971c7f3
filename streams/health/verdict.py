"""From a snapshot and thresholds to `ok`, `degraded` or `critical`, with reasons; pure. Each rule is a function that yields what it finds.

Every kind of reason is explained in docs/operations.md: what it means and what to type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, PlainSerializer

from streams.bus.topology import MANAGEMENT_CONSUMERS
from streams.health.snapshot import LATELY_COUNTED, Deliveries, Group, ServiceHealth, Snapshot, Stream, StreamRole
from streams.health.thresholds import Thresholds

LOOK: Final = "celery -A tasks streams"


class Level(IntEnum):
    """How things stand; the number is a probe's exit code."""

    OK = 0
    DEGRADED = 1
    """Jobs still go through; somebody should look."""
    CRITICAL = 2
    """Jobs don't go through, or may be lost."""

    @property
    def word(self) -> str:
        """As it is shown."""
        return self.name.lower()


ShownLevel = Annotated[Level, PlainSerializer(lambda level: level.word, return_type=str, when_used="json")]


class Reason(BaseModel):
    """One thing that isn't well."""

    model_config = ConfigDict(frozen=True)

    kind: str
    """Name of the rule, such as `no_worker`."""
    level: ShownLevel
    where: str
    """The service, stream and group, or `server`."""
    what: str
    """In one sentence."""
    value: float | None
    """None: not known."""
    threshold: float | None
    """None: the rule has none."""
    to_type: str
    """What to type next."""


class Verdict(BaseModel):
    """What a snapshot means."""

    model_config = ConfigDict(frozen=True)

    level: ShownLevel
    reasons: tuple[Reason, ...]
    """The worst first."""

    def only(self, kinds: Iterable[str]) -> Verdict:
        """The same, by some of the rules."""
        wanted = set(kinds)
        return _verdict(reason for reason in self.reasons if reason.kind in wanted)


Rule = Callable[[Snapshot, Thresholds], Iterator[Reason]]


def judge(snapshot: Snapshot, thresholds: Thresholds) -> Verdict:
    """Apply every rule."""
    return _verdict(reason for rule in RULES for reason in rule(snapshot, thresholds))


def _verdict(reasons: Iterable[Reason]) -> Verdict:
    ordered = tuple(sorted(reasons, key=lambda reason: -reason.level))
    return Verdict(level=ordered[0].level if ordered else Level.OK, reasons=ordered)


def _reached(value: float, degraded: float, critical: float) -> tuple[Level, float] | None:
    """How bad a value is, and the threshold that it has reached; a threshold of 0 is off."""
    if critical and value >= critical:
        return Level.CRITICAL, critical
    if degraded and value >= degraded:
        return Level.DEGRADED, degraded
    return None


# ---------------------------------------------------------------------------------------------------------------------------------------- workers


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
        reached = _reached(service.waiting.at_least, thresholds.waiting, thresholds.waiting_critical)
        if reached is not None:
            yield Reason(
                kind="waiting",
                level=reached[0],
                where=service.name,
                what=f"{service.waiting} commands wait for {service.workers} workers",
                value=service.waiting.at_least,
                threshold=reached[1],
                to_type=f"{LOOK} lag; then start more workers: python -m workers {service.name} -c <jobs at a time>",
            )


def queue_wait(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """A command waits too long."""
    for service in snapshot.services:
        waited = service.oldest_waiting_seconds or 0.0
        reached = _reached(waited, thresholds.wait_seconds, thresholds.wait_critical_seconds)
        if reached is not None:
            yield Reason(
                kind="queue_wait",
                level=reached[0],
                where=service.name,
                what=f"the oldest command waits for {duration(waited)}",
                value=waited,
                threshold=reached[1],
                to_type=f"{LOOK} lag; then start more workers: python -m workers {service.name} -c <jobs at a time>",
            )


def lag_unknown(snapshot: Snapshot, _: Thresholds) -> Iterator[Reason]:
    """How much a group has still to read can't be told."""
    for stream, group in _judged_groups(snapshot):
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
    for stream, group in _judged_groups(snapshot):
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
    for stream, group in _judged_groups(snapshot):
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


# ----------------------------------------------------------------------------------------------------------------------------------------- bridge


def no_bridge(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """Nobody resolves results."""
    if not thresholds.nobody_seconds or any(group.alive for _, group in _bridges_groups(snapshot)):
        return
    oldest = max((_age(group) for stream, group in _bridges_groups(snapshot) if stream.role is StreamRole.RESULTS), default=0.0)
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
    for stream, group in _bridges_groups(snapshot):
        unread = group.oldest_unread_age_seconds or 0.0
        reached = _reached(unread, thresholds.results_seconds, thresholds.results_critical_seconds)
        if reached is not None:
            yield Reason(
                kind="results_behind",
                level=reached[0],
                where=f"{stream.name} {group.name}",
                what=f"{group.lag} entries are unread by the bridges, the oldest for {duration(unread)}",
                value=unread,
                threshold=reached[1],
                to_type="celery -A tasks bridge -n bridge2@%h, for one more; its log says what a bridge waits for",
            )


def unresolved(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """A result that can't be resolved, time and again."""
    for stream, group in _bridges_groups(snapshot):
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
        reached = _reached(service.most_overdue_seconds, thresholds.overdue_seconds, thresholds.overdue_critical_seconds)
        if reached is not None:
            yield Reason(
                kind="overdue",
                level=reached[0],
                where=service.name,
                what=f"{service.overdue:,} delayed commands are overdue, by {duration(service.most_overdue_seconds)} at most: nobody puts them back",
                value=service.most_overdue_seconds,
                threshold=reached[1],
                to_type=f"celery -A tasks bridge, if there is none; {LOOK} doctor",
            )


# ----------------------------------------------------------------------------------------------------------------------------------- dead letters


def dead_letters(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """Commands that became dead letters lately."""
    for service in snapshot.services:
        lately = service.dead_letters.lately or 0
        reached = _reached(lately, thresholds.dead_letters, thresholds.dead_letters_critical)
        if reached is not None:
            yield Reason(
                kind="dead_letters",
                level=reached[0],
                where=service.name,
                what=f"{_at_most(lately)} dead letters within {duration(thresholds.dead_letters_seconds)}, {_reasons(service)}",
                value=lately,
                threshold=reached[1],
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


# ----------------------------------------------------------------------------------------------------------------------------------------- server


def stream_size(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """A stream that takes much memory."""
    for stream in snapshot.streams:
        mib = stream.bytes / 2**20
        if thresholds.stream_mib and mib >= thresholds.stream_mib:
            yield Reason(
                kind="stream_size",
                level=Level.DEGRADED,
                where=stream.name,
                what=f"{mib:,.0f} MiB in {stream.length:,} entries",
                value=round(mib, 1),
                threshold=thresholds.stream_mib,
                to_type=f"{LOOK} trim --explain",
            )


def not_a_stream(snapshot: Snapshot, _: Thresholds) -> Iterator[Reason]:
    """A key that should be a stream can't be read as one."""
    for stream in snapshot.streams:
        if stream.problem:
            yield Reason(
                kind="not_a_stream",
                level=Level.CRITICAL,
                where=stream.name,
                what=f"the key {stream.key} can't be read: {stream.problem}",
                value=None,
                threshold=None,
                to_type=f"redis-cli TYPE {stream.key}, and ACL WHOAMI; rename what isn't a stream",
            )


def memory(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """The server is nearly full."""
    server = snapshot.server
    percent = 100 * server.used_bytes / server.max_bytes if server.max_bytes else 0.0
    reached = _reached(percent, thresholds.memory_percent, thresholds.memory_critical_percent)
    if reached is not None:
        yield Reason(
            kind="memory",
            level=reached[0],
            where="server",
            what=f"{percent:.0f}% of maxmemory is used; when it is full nothing can be sent",
            value=round(percent, 1),
            threshold=reached[1],
            to_type=f"{LOOK} trim; {LOOK} metrics shows the largest streams; or redis-cli CONFIG SET maxmemory <more>",
        )


def eviction(snapshot: Snapshot, _: Thresholds) -> Iterator[Reason]:
    """The server may throw jobs away, or has done so."""
    server = snapshot.server
    may = server.max_bytes > 0 and server.policy != "noeviction"
    if may or server.evicted_keys:
        yield Reason(
            kind="eviction",
            level=Level.CRITICAL if may and server.evicted_keys else Level.DEGRADED,
            where="server",
            what=f"maxmemory-policy is {server.policy}, {server.evicted_keys:,} keys were evicted since its start: jobs may be lost",
            value=server.evicted_keys,
            threshold=None,
            to_type=f"redis-cli CONFIG SET maxmemory-policy noeviction; then {LOOK} doctor",
        )


def durability(snapshot: Snapshot, thresholds: Thresholds) -> Iterator[Reason]:
    """What the server holds would not survive its crash."""
    server = snapshot.server
    broken = [name for name, fine in (("append-only file", server.aof_ok or not server.aof), ("snapshot", server.rdb_ok)) if not fine]
    if broken:
        yield Reason(
            kind="disk",
            level=Level.CRITICAL,
            where="server",
            what=f"the server's last write of its {' and '.join(broken)} failed: it may refuse to write, and what it holds may be lost",
            value=None,
            threshold=None,
            to_type="df -h of its data folder, and the server's log",
        )
    if thresholds.require_aof and not server.aof:
        yield Reason(
            kind="no_aof",
            level=Level.DEGRADED,
            where="server",
            what="appendonly is off: what was sent since the last snapshot is lost when the server crashes",
            value=None,
            threshold=None,
            to_type="redis-cli CONFIG SET appendonly yes, and CONFIG REWRITE; or HEALTH_REQUIRE_AOF=false",
        )


def replica(snapshot: Snapshot, _: Thresholds) -> Iterator[Reason]:
    """The server takes no writes."""
    if snapshot.server.role == "slave":
        yield Reason(
            kind="replica",
            level=Level.CRITICAL,
            where="server",
            what="the server is a replica and takes no writes",
            value=None,
            threshold=None,
            to_type="point REDIS_URL at the primary",
        )


RULES: Final[tuple[Rule, ...]] = (
    replica,
    not_a_stream,
    no_bridge,
    no_worker,
    memory,
    eviction,
    durability,
    waiting,
    queue_wait,
    results_behind,
    unresolved,
    overdue,
    abandoned,
    deliveries,
    dead_letters,
    parked,
    findings,
    upkeep,
    lag_unknown,
    stream_size,
)
LAG_KINDS: Final = ("no_worker", "no_bridge", "waiting", "queue_wait", "results_behind", "unresolved", "overdue", "abandoned", "lag_unknown")
"""What `streams lag` judges by."""


def _judged_groups(snapshot: Snapshot) -> Iterator[tuple[Stream, Group]]:
    """Those that jobs depend on: the workers' on commands, and the bridges'. Others may read as slowly as they like."""
    groups = {service.name: service.group for service in snapshot.services}
    for stream in snapshot.streams:
        for group in stream.groups:
            if group.name == MANAGEMENT_CONSUMERS or (stream.role is StreamRole.COMMANDS and group.name == groups.get(stream.service)):
                yield stream, group


def _bridges_groups(snapshot: Snapshot) -> Iterator[tuple[Stream, Group]]:
    return ((stream, group) for stream, group in _judged_groups(snapshot) if group.name == MANAGEMENT_CONSUMERS)


def duration(seconds: float) -> str:
    """As people say it."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
