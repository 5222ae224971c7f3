"""A group's lag: exact, or unknown with the reason, never a wrong number.

XINFO GROUPS has it as null after an XDEL among what is unread, and of a group that was made at an id in the middle. It has it wrong, too: after an XDEL the
server's count of what a group has read stays behind by what was deleted (redis/redis#13337), and when a cap cut off what was unread it counts what is gone. So
its number is taken only of a stream that has no cap and that nothing was ever deleted from; at both ends of a stream the stream itself says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import redis

from streams.bus.functions import call
from streams.errors import FunctionLibraryMissing
from streams.health.snapshot import Lag
from streams.jobs.queueing import COUNTED_AT_A_TIME, count_between

NOTHING: Final = "0-0"


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a stream begins and ends, from XINFO STREAM."""

    length: int
    first: str
    """Id of its first entry; "" when it is empty."""
    last: str
    """Id of the last entry that is there; there may have been later ones."""
    whole: bool
    """Nothing was ever taken out of it but what every group was done with."""

    @classmethod
    def read(cls, info: dict[str, Any], *, capped: bool) -> Extent:
        """From the reply."""
        first, last = info.get("first-entry"), info.get("last-entry")
        deleted = str(info.get("max-deleted-entry-id")) != NOTHING
        return cls(int(info["length"]), str(first[0]) if first else "", str(last[0]) if last else "", not deleted and not capped)


def order(entry_id: str) -> tuple[int, int]:
    """A stream id as what it is compared by."""
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)


def known_lag(extent: Extent, last_delivered: str, reported: int | None) -> Lag | None:
    """What can be told without counting; None when it can't.

    Args:
        extent: of the stream.
        last_delivered: id of the last entry that the group was given.
        reported: the `lag` of XINFO GROUPS.
    """
    if extent.length == 0 or order(extent.last) <= order(last_delivered):
        return Lag.exactly(0)
    if order(extent.first) > order(last_delivered):
        return Lag.exactly(extent.length)
    # In between: at least the first one is read, and the last one isn't.
    if reported is not None and extent.whole and 0 < reported < extent.length:
        return Lag.exactly(reported)
    return None


def counted_lag(client: redis.Redis, stream: str, last_delivered: str, limit: int) -> Lag:
    """Count on the server what a group hasn't been given, up to `limit` entries; some ms a thousand."""
    counted, after = 0, last_delivered
    why = "the server doesn't know it: there was an XDEL, or the group was made at an id in the middle"
    while after:
        if counted >= limit:
            return Lag.unknown(f"{why}; and there are too many to count (HEALTH_COUNT_LIMIT={limit})", at_least=counted)
        try:
            more, after = call(client, count_between(stream, after, most=min(COUNTED_AT_A_TIME, limit - counted)))
        except FunctionLibraryMissing:
            return Lag.unknown(f"{why}; and it can't count, as its function library is missing: a bridge loads it when it starts", at_least=1)
        except redis.ResponseError as exc:
            return Lag.unknown(f"{why}; and it doesn't count: {exc}", at_least=1)
        counted += more
    return Lag.exactly(counted)
