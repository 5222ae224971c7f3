"""Safe trim (protocol R14): nothing that a group hasn't read and acknowledged is ever removed.

`XTRIM MAXLEN` drops what nobody has read. This one cuts at the lowest of (oldest pending, or last delivered + 1) over all groups, or lower when some of what is
done with is to be kept; a stream without a group is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import redis

from streams.bus import clock
from streams.bus.functions import FunctionCall, call
from streams.bus.limits import StreamLimits

KEEP_NOTHING: Final = StreamLimits()
COUNTED_AT_A_TIME: Final = 1_000
FIRST: Final = "0-0"


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What a trim did."""

    removed: int
    floor: str | None
    """The id below which everything is done with; None when the stream has no group."""


@dataclass(frozen=True, slots=True)
class GroupFloor:
    """What a group still has to deal with."""

    name: str
    floor: str
    """The first id of it."""
    pending: int
    last_delivered: str
    holder: str | None = None
    """The consumer that holds its oldest pending entry."""
    idle_ms: int = 0
    """How long that entry has been in its hands without a renewal."""
    deliveries: int = 0


@dataclass(frozen=True, slots=True)
class TrimPlan:
    """What a trim would do, and why it can't do more."""

    length: int
    floor: str | None
    cut: str | None
    """The id below which is removed; lower than the floor when some of what is done with is kept."""
    groups: tuple[GroupFloor, ...]

    @property
    def holding(self) -> tuple[GroupFloor, ...]:
        """The groups that the floor is of."""
        return tuple(group for group in self.groups if group.floor == self.floor)


def trim(stream: str, *, exact: bool = False, keep: StreamLimits = KEEP_NOTHING) -> FunctionCall[Trimmed]:
    """Remove what every group is done with; not `exact` leaves up to one node's worth of entries, and is cheaper.

    Args:
        stream: its full key.
        exact: to the entry.
        keep: its `keep_hours` and `keep_entries` say what of it stays.
    """
    return FunctionCall("trim", (stream,), ("=" if exact else "~", *_kept(keep)), _trimmed)


def plan_trim(stream: str, *, keep: StreamLimits = KEEP_NOTHING) -> FunctionCall[TrimPlan]:
    """What `trim` would do now."""
    return FunctionCall("trim_plan", (stream,), _kept(keep), _planned)


def count_before(client: redis.Redis, stream: str, cut: str) -> int:
    """How many entries lie below an id; read a part at a time, so that the server isn't held up."""
    total, after = 0, "" if cut == FIRST else FIRST
    while after:
        step = FunctionCall("count_between", (stream,), (after, cut, COUNTED_AT_A_TIME), lambda reply: (int(reply[0]), str(reply[1])))
        counted, after = call(client, step)
        total += counted
    return total


def _kept(keep: StreamLimits) -> tuple[str, str]:
    since = "" if keep.keep_hours is None else f"{max(0, clock.now_ms() - int(keep.keep_hours * 3_600_000))}-0"
    return since, "" if keep.keep_entries is None else str(keep.keep_entries)


def _trimmed(reply: Any) -> Trimmed:
    removed, floor = reply
    return Trimmed(int(removed), str(floor) or None)


def _planned(reply: Any) -> TrimPlan:
    length, floor, cut, groups = reply
    return TrimPlan(int(length), str(floor) or None, str(cut) or None, tuple(_group(row) for row in groups))


def _group(row: Any) -> GroupFloor:
    name, floor, pending, last, *held = row
    if not held:
        return GroupFloor(str(name), str(floor), int(pending), str(last))
    return GroupFloor(str(name), str(floor), int(pending), str(last), str(held[0]), int(held[1]), int(held[2]))
