"""A snapshot and its verdict as rich tables, for people."""

from __future__ import annotations

from typing import Final

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from streams.bus.codec import shown
from streams.health.checks import Health
from streams.health.reasons import Level, Verdict, duration
from streams.health.snapshot import Deliveries, Group, ServiceHealth, Snapshot, Stream

COLOURS: Final = {Level.OK: "green", Level.DEGRADED: "yellow", Level.CRITICAL: "red"}


def verdict_table(verdict: Verdict, snapshot: Snapshot) -> RenderableType:
    """The verdict, and each reason with what to type."""
    headline = Text(verdict.level.word, style=f"bold {COLOURS[verdict.level]}")
    headline.append(f"  {snapshot.at:%Y-%m-%d %H:%M:%S} UTC", style="dim")
    if not verdict.reasons:
        return headline
    table = _table("", "reason", "where", "what", "value", "threshold", "to type")
    for reason in verdict.reasons:
        _add(
            table,
            Text(reason.level.word, style=COLOURS[reason.level]),
            reason.kind,
            reason.where,
            reason.what,
            _number(reason.value),
            _number(reason.threshold),
            reason.to_type,
        )
    return Lines(headline, table)


def health_table(health: Health) -> RenderableType:
    """The verdict and the services."""
    return Lines(verdict_table(health.verdict, health.snapshot), services_table(health.snapshot))


def lag_table(health: Health) -> RenderableType:
    """The verdict, and what each group has still to do."""
    return Lines(verdict_table(health.verdict, health.snapshot), groups_table(health.snapshot))


def groups_table(snapshot: Snapshot) -> RenderableType:
    """Each group, and what it has still to do."""
    table = _table("stream", "group", "lag", "oldest unread", "pending", "oldest pending", "delivered 1, 2, 3, more", "consumers alive")
    for stream in snapshot.streams:
        for group in stream.groups:
            _add(
                table,
                stream.name,
                group.name,
                str(group.lag),
                _age(group.oldest_unread_age_seconds),
                f"{group.pending:,}",
                _age(group.oldest_pending_age_seconds),
                _deliveries(group.deliveries),
                f"{group.alive} of {len(group.consumers)}",
            )
    unknown = [f"{stream.name} {group.name}: {group.lag.why_unknown}" for stream, group in _groups(snapshot) if group.lag.why_unknown]
    return Lines(table, *map(Text, unknown))


def metrics_table(health: Health) -> RenderableType:
    """Every number."""
    snapshot = health.snapshot
    streams = _table("stream", "entries", "bytes", "oldest", "groups")
    for stream in snapshot.streams:
        _add(streams, stream.name, *_stream(stream))
    consumers = _table("stream", "consumer", "alive", "pending", "idle")
    for stream, group in _groups(snapshot):
        for each in group.consumers:
            _add(
                consumers,
                stream.name,
                each.name,
                f"{'yes' if each.alive else 'no'}, by {each.heard_by}",
                f"{each.pending:,}",
                _age(each.idle_seconds),
            )
    server = snapshot.server
    limit = f"{server.max_bytes:,} ({100 * server.used_bytes / server.max_bytes:.0f}%)" if server.max_bytes else "no limit"
    told = f"server {server.version}, {server.role}: {server.used_bytes:,} bytes used, maxmemory {limit}, {server.policy}, {server.evicted_keys:,} evicted, "
    told += f"append-only file {'on' if server.aof else 'off'}{'' if server.aof_ok and server.rdb_ok else ', its last write to disk failed'}"
    found = ", ".join(f"{kind} {count:,}" for kind, count in sorted(snapshot.findings.items()))
    return Lines(
        services_table(snapshot),
        streams,
        groups_table(snapshot),
        consumers,
        _upkeep(snapshot),
        Text(f"findings of the reconciler: {found or 'none'}"),
        Text(told),
    )


def services_table(snapshot: Snapshot) -> RenderableType:
    """What waits, runs and ended, by service."""
    table = _table(
        "service",
        "workers",
        "waiting",
        "oldest",
        "running",
        "delayed",
        "overdue",
        "open",
        "parked",
        "jobs/min",
        "queue wait p50 / p95",
        "run p50 / p95",
        "dead letters",
    )
    for service in snapshot.services:
        _add(table, *_service(service))
    total = f"open jobs {snapshot.jobs.open:,}, the oldest {_age(snapshot.jobs.oldest_open_age_seconds)}; parked {snapshot.jobs.parked:,}"
    return Lines(table, Text(f"{total}; times and rates over {duration(snapshot.window_seconds)}", style="dim"))


def _service(service: ServiceHealth) -> tuple[str, ...]:
    times, dead = service.times, service.dead_letters
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(dead.by_reason.items()))
    return (
        service.name,
        str(service.workers),
        str(service.waiting),
        _age(service.oldest_waiting_seconds),
        f"{service.running:,}",
        f"{service.delayed:,}",
        f"{service.overdue:,}",
        _count(service.open),
        _count(service.parked),
        f"{times.per_minute:g}",
        f"{_age(times.queue_wait_p50_seconds)} / {_age(times.queue_wait_p95_seconds)}",
        f"{_age(times.run_p50_seconds)} / {_age(times.run_p95_seconds)}",
        f"{dead.total:,}{f' ({reasons})' if reasons else ''}",
    )


def _stream(stream: Stream) -> tuple[str, ...]:
    return (
        f"{stream.length:,}{f' {stream.problem}' if stream.problem else ''}",
        f"{stream.bytes:,}",
        _age(stream.oldest_age_seconds),
        ", ".join(group.name for group in stream.groups),
    )


def _groups(snapshot: Snapshot) -> list[tuple[Stream, Group]]:
    return [(stream, group) for stream in snapshot.streams for group in stream.groups]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _upkeep(snapshot: Snapshot) -> Table:
    table = _table("upkeep", "done last", "took", "failed")
    for work in snapshot.upkeep:
        _add(table, work.name, _age(work.age_seconds), duration(work.took_seconds), work.error)
    return table


def _add(table: Table, *cells: str | Text) -> None:
    """A row; what others have named is no markup."""
    table.add_row(*(Text(shown(cell)) if isinstance(cell, str) else cell for cell in cells))


def _deliveries(counts: Deliveries) -> str:
    counted = f"{counts.once:,}, {counts.twice:,}, {counts.thrice:,}, {counts.more:,}"
    return f"{counted} (and {counts.uncounted:,} not looked at)" if counts.uncounted else counted


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:g}"
