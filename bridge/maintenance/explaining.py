"""What a trim removes, and what keeps it from removing more: where the floor is, and which group or entry holds it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from bridge.connection import Connection
from bridge.maintenance.trimming import capped_streams, cut_at_cap, kept, trim_stream, trimmed_streams
from streams.bus.topology import Service
from streams.bus.trim import GroupFloor, TrimPlan, count_before, plan_trim


@dataclass(frozen=True, slots=True)
class Explained:
    """One stream."""

    stream: str
    """Its logical name."""
    length: int
    """Before the trim."""
    removed: int
    """Or what would be removed."""
    kept: int
    """Done with, and kept because the limits say so."""
    floor: str
    """The first id that some group still has to deal with; "" when there is none."""
    held_by: tuple[str, ...]
    """Why not more goes, in words."""


def trim_and_explain(connection: Connection, *, dry_run: bool = False, exact: bool = False, only: tuple[str, ...] = ()) -> list[Explained]:
    """Trim every stream that is trimmed, and say what was done.

    Args:
        connection: of the app.
        dry_run: change nothing, and count what would be removed, to the entry.
        exact: trim to the entry; else up to a node's worth of entries stays, which is cheaper.
        only: logical names of streams; all when empty.
    """
    rows = [
        _done_with(connection, stream, service, dry_run=dry_run, exact=exact)
        for stream, service in trimmed_streams(connection)
        if _is_in(stream, only)
    ]
    rows += [
        _capped(connection, stream, cap, dry_run=dry_run, exact=exact) for stream, cap in capped_streams(connection).items() if _is_in(stream, only)
    ]
    return rows


def _is_in(stream: str, only: tuple[str, ...]) -> bool:
    return not only or stream in only


def _done_with(connection: Connection, stream: str, service: Service, *, dry_run: bool, exact: bool) -> Explained:
    key = connection.keys.stream(stream)
    plan = connection.call(plan_trim(key, keep=kept(connection, stream, service)))
    if plan.floor is None or plan.cut is None:
        return Explained(stream, plan.length, 0, 0, "", ("no group reads it: it is left alone",) if plan.length else ("it is empty",))
    done, below_cut = (count_before(connection.client, key, each) for each in (plan.floor, plan.cut))
    removed = below_cut if dry_run else trim_stream(connection, stream, service, exact=exact)
    return Explained(stream, plan.length, removed, max(0, done - removed), plan.floor, tuple(why_held(plan)))


def why_held(plan: TrimPlan) -> list[str]:
    """Who holds the floor of a stream: one line for each group."""
    return [_held(group) for group in plan.holding]


def _held(group: GroupFloor) -> str:
    if group.holder is None:
        return f"{group.name} has read up to {group.last_delivered}, and nothing is in its hands"
    idle = timedelta(seconds=group.idle_ms // 1000)
    return (
        f"{group.name}: {group.floor} is in the hands of {group.holder}, not renewed for {idle}, delivery {group.deliveries}; {group.pending} pending"
    )


def _capped(connection: Connection, stream: str, cap: int, *, dry_run: bool, exact: bool) -> Explained:
    length = int(connection.client.xlen(connection.keys.stream(stream)))
    removed = max(0, length - cap) if dry_run else cut_at_cap(connection, stream, cap, exact=exact)
    return Explained(stream, length, removed, 0, "", (f"news only: at most {cap:,} entries",))
