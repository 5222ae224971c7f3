"""About the server, and the keys on it."""

from __future__ import annotations

from collections.abc import Iterator

from streams.health.reasons import LOOK, Level, Reason, reached
from streams.health.snapshot import Snapshot
from streams.health.thresholds import Thresholds


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
    at = reached(percent, thresholds.memory_percent, thresholds.memory_critical_percent)
    if at is not None:
        yield Reason(
            kind="memory",
            level=at[0],
            where="server",
            what=f"{percent:.0f}% of maxmemory is used; when it is full nothing can be sent",
            value=round(percent, 1),
            threshold=at[1],
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
