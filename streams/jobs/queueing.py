"""Where a job waits: whether somebody has taken up its entry, and how many come before it. Read only, and never quite up to date."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, cast

import redis

from streams.bus.functions import FunctionCall, call
from streams.bus.topology import Keys, Service
from streams.jobs.running import HANDED_BACK

COUNTED_AT_A_TIME: Final = 1_000
HIGHEST: Final = "18446744073709551615-18446744073709551615"
"""After every entry of a stream."""


@dataclass(frozen=True, slots=True)
class Held:
    """A consumer's hold on an entry."""

    consumer: str
    idle_ms: int
    times_delivered: int


def holder(client: redis.Redis, stream: str, group: str, entry: str) -> Held | None:
    """Who has taken up an entry; None when nobody has, or it was handed back."""
    if not client.exists(stream):
        return None
    try:
        rows = cast("list[dict[str, Any]]", client.xpending_range(stream, group, entry, entry, 1))
    except redis.ResponseError:  # no group yet: no worker was ever there
        return None
    if not rows or rows[0]["consumer"] == HANDED_BACK:
        return None
    return Held(str(rows[0]["consumer"]), int(rows[0]["time_since_delivered"]), int(rows[0]["times_delivered"]))


def ahead(client: redis.Redis, keys: Keys, service: Service, stream: str, entry: str) -> int:
    """How many entries workers will take up before this one that nobody has taken up: also those of more urgent lanes.

    Args:
        client: of the streams' server.
        keys: of this deployment.
        service: whose streams they are.
        stream: full key of the one that holds the entry.
        entry: its id.
    """
    streams = [keys.stream(name) for name in service.command_streams]
    earlier = streams[: streams.index(stream)] if stream in streams else []
    return sum(_untaken(client, lane, service.group, HIGHEST) for lane in earlier) + _untaken(client, stream, service.group, entry)


def _untaken(client: redis.Redis, stream: str, group: str, before: str) -> int:
    if not client.exists(stream):
        return 0
    groups = client.xinfo_groups(stream)
    last = next((str(row["last-delivered-id"]) for row in groups if row["name"] == group), None)
    total = 0
    if last is not None:
        handed_back = cast("list[Any]", client.xpending_range(stream, group, "-", f"({before}", COUNTED_AT_A_TIME, consumername=HANDED_BACK))
        total += len(handed_back)
    after = last or "0-0"
    while after:
        counted, after = call(client, count_between(stream, after, before))
        total += counted
    return total


def count_between(stream: str, after: str, before: str = HIGHEST, most: int = COUNTED_AT_A_TIME) -> FunctionCall[tuple[int, str]]:
    """How many entries of a stream (full key) lie between two ids, and the id of the last one counted, "" when there are no more."""
    return FunctionCall("count_between", (stream,), (after, before, most), lambda reply: (int(reply[0]), str(reply[1])))
