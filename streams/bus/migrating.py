"""Moving what is left on the streams of the system before this one to where it belongs now; their names are in `topology.Predecessor`.

Entries go in the order of their ids over all old streams, some in one step: added to the new stream and deleted from the old one together. So a run that was
killed is just run again. A moved entry keeps its fields, and says where and when it was written: `original_stream`, `original_id`, `original_time` (the time is
that of its id), and when it was moved: `migrated_at`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any, Final

import redis

from streams.bus import clock
from streams.bus.codec import decode_json, encode_datetime, printable
from streams.bus.entry_ids import order_of, time_of
from streams.bus.functions import FunctionCall
from streams.bus.topology import SERVICES, Keys, Predecessor
from streams.errors import DecodeError

PAGE: Final = 500
NO_ENTRY: Final = "0-0"
"""Stands for the whole of a key."""
BATCH: Final = 100
"""Entries moved in one step; the server does nothing else meanwhile."""


@dataclass(frozen=True, slots=True)
class OldEntry:
    """One entry of an old stream, and what is to become of it."""

    source: str
    id: str
    target: str | None
    """Logical name of its new stream; None when it stays."""
    reason: str = ""
    """Why it stays."""

    @property
    def at(self) -> datetime:
        """When it was written."""
        return time_of(self.id)


@dataclass(slots=True)
class Moved:
    """What goes, or went, from one stream to another."""

    source: str
    target: str
    entries: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None

    def count(self, entry: OldEntry) -> None:
        """One more; they come in order."""
        self.entries += 1
        self.oldest, self.newest = self.oldest or entry.at, entry.at


@dataclass(slots=True)
class Migration:
    """The outcome of a run."""

    moved: dict[tuple[str, str], Moved] = field(default_factory=dict)
    stayed: list[OldEntry] = field(default_factory=list)

    def count(self, entry: OldEntry) -> None:
        """Enter what becomes of an entry."""
        if entry.target is None:
            self.stayed.append(entry)
        else:
            self.moved.setdefault((entry.source, entry.target), Moved(entry.source, entry.target)).count(entry)


def plan(client: redis.Redis, *, also_handled: bool = False) -> Iterator[OldEntry]:
    """Every entry that is on the old streams now, the oldest first, and where it belongs.

    Args:
        client: a client of `streams.bus.clients`.
        also_handled: move commands, too, that all of the old groups have read and acknowledged. They were carried out, and would be a second time.
    """
    return heapq.merge(*(_planned(client, source, also_handled=also_handled) for source in Predecessor.ALL), key=lambda entry: order_of(entry.id))


def carry_out(call: Callable[[FunctionCall[int]], int], keys: Keys, entries: Iterable[OldEntry]) -> Migration:
    """Move what has a place, and tell what stayed.

    Args:
        call: sends one step.
        keys: of this deployment; old streams have no prefix.
        entries: of `plan`.
    """
    migration, rest = Migration(), iter(entries)
    while batch := list(islice(rest, BATCH)):
        going = [entry for entry in batch if entry.target is not None]
        if going:
            call(move(keys, going))
        for entry in batch:
            migration.count(entry)
    return migration


def move(keys: Keys, entries: list[OldEntry]) -> FunctionCall[int]:
    """Move these, in this order; safe to send again. Returns how many were still there."""
    targets = {entry.target: keys.stream(entry.target) for entry in entries if entry.target is not None}
    names = [*dict.fromkeys(entry.source for entry in entries), *targets.values()]
    number = {name: place for place, name in enumerate(names, start=1)}
    args: list[str | int] = [clock.moment()]
    for entry in entries:
        assert entry.target is not None
        args += [number[entry.source], entry.id, encode_datetime(entry.at), number[targets[entry.target]]]
    return FunctionCall("migrate", tuple(names), tuple(args), int)


def route(source: str, fields: dict[str, str]) -> tuple[str | None, str]:
    """Where an entry of an old stream belongs now; or None and why it can't be told."""
    if source in Predecessor.MOVED:
        return Predecessor.MOVED[source], ""
    named = _destination(fields)
    if not named:
        return None, "names no destination"
    service = SERVICES.get(named) or SERVICES.get(named.lower())
    if service is None:
        return None, f"names the destination {printable(named)[:60]!r}, which is no service: {', '.join(sorted(SERVICES))}"
    return service.command_stream(), ""


def _destination(fields: dict[str, str]) -> str:
    """Named by a field of its own, or within the message's JSON."""
    if fields.get("destination", "").strip():
        return fields["destination"].strip()
    for value in fields.values():
        if value.lstrip().startswith("{"):
            try:
                inner = decode_json(value)
            except DecodeError:
                continue
            if isinstance(inner, dict) and isinstance(inner.get("destination"), str) and inner["destination"].strip():
                return str(inner["destination"]).strip()
    return ""


def _planned(client: redis.Redis, source: str, *, also_handled: bool) -> Iterator[OldEntry]:
    kind = str(client.type(source))
    if kind != "stream":
        if kind != "none":
            yield OldEntry(source, NO_ENTRY, None, f"is no stream, but a {kind}: that is left to people")
        return
    handled = _Handled(client, source)
    for entry_id, fields in _entries(client, source):
        target, reason = route(source, fields)
        if target is not None and not also_handled and target in _command_streams() and handled.has(entry_id):
            target, reason = None, "is a command that was carried out: all groups have acknowledged it (--handled moves it, too)"
        yield OldEntry(source, entry_id, target, reason)


def _command_streams() -> set[str]:
    return {stream for service in SERVICES.values() for stream in (service.commands, *service.command_streams)}


def _entries(client: redis.Redis, source: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Those that are there now; what somebody still adds is left for the next run."""
    newest: Any = client.xrevrange(source, count=1)
    start = "-"
    while newest:
        rows: Any = client.xrange(source, start, newest[0][0], PAGE)
        if not rows:
            return
        yield from rows
        start = f"({rows[-1][0]}"


class _Handled:
    """Which entries of an old stream every group is done with."""

    def __init__(self, client: redis.Redis, source: str) -> None:
        groups: Any = client.xinfo_groups(source)
        self._delivered = [order_of(group["last-delivered-id"]) for group in groups]
        self._pending = {entry for group in groups for entry in _pending(client, source, group["name"])}

    def has(self, entry_id: str) -> bool:
        delivered = self._delivered and all(order_of(entry_id) <= last for last in self._delivered)
        return bool(delivered) and entry_id not in self._pending


def _pending(client: redis.Redis, source: str, group: str) -> Iterator[str]:
    start = "-"
    while rows := client.xpending_range(source, group, start, "+", PAGE):
        yield from (str(row["message_id"]) for row in rows)
        start = f"({rows[-1]['message_id']}"  # type: ignore[str-bytes-safe]
