"""R14, apart from the rest: a stream, groups that come late, read and acknowledge in any order, and trim. I7: nothing unacknowledged is removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

ENTRIES: Final = 3
GROUPS: Final = 2


class Group(NamedTuple):
    """How far a group has read, and what of it is unacknowledged."""

    last: int = 0
    pending: frozenset[int] = frozenset()


class Stream(NamedTuple):
    """Entries are 1, 2, ...; those up to `trimmed` are gone."""

    added: int = 0
    trimmed: int = 0
    groups: tuple[Group, ...] = ()


def floor(stream: Stream, *, spares_pending: bool) -> int:
    """The lowest entry that any group still has to deal with; without a group, nothing may go."""
    lows = [min(group.pending) if group.pending and spares_pending else group.last + 1 for group in stream.groups]
    return min(lows, default=0)


def _next(stream: Stream, *, spares_pending: bool) -> Iterator[Stream]:
    if stream.added < ENTRIES:
        yield stream._replace(added=stream.added + 1)
    if len(stream.groups) < GROUPS and stream.trimmed == 0:
        yield stream._replace(groups=(*stream.groups, Group()))
    for index, group in enumerate(stream.groups):
        others = stream.groups[:index], stream.groups[index + 1 :]
        if group.last < stream.added:
            read = Group(group.last + 1, group.pending | {group.last + 1})
            yield stream._replace(groups=(*others[0], read, *others[1]))
        for entry in group.pending:
            yield stream._replace(groups=(*others[0], group._replace(pending=group.pending - {entry}), *others[1]))
    low = floor(stream, spares_pending=spares_pending)
    if low - 1 > stream.trimmed:
        yield stream._replace(trimmed=low - 1)


def search_trim(*, spares_pending: bool) -> bool:
    """Whether some order of the steps removes an entry that a group hasn't read or acknowledged."""
    waiting, seen = [Stream()], set[Stream]()
    while waiting:
        stream = waiting.pop()
        if stream in seen:
            continue
        seen.add(stream)
        for group in stream.groups:
            if group.last < stream.trimmed or any(entry <= stream.trimmed for entry in group.pending):
                return True
        waiting.extend(_next(stream, spares_pending=spares_pending))
    return False
