"""Safe trim (protocol R14): nothing that a group hasn't read and acknowledged is ever removed.

`XTRIM MAXLEN` drops what nobody has read. This one cuts at the lowest of (oldest pending, or last delivered + 1) over all groups, and a stream
without a group is left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streams.bus.functions import FunctionCall


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What a trim did."""

    removed: int
    floor: str | None
    """The id below which everything is done with; None when the stream has no group."""


def trim(stream: str, *, exact: bool = False) -> FunctionCall[Trimmed]:
    """Remove what every group is done with; not `exact` leaves up to one node's worth of entries, and is cheaper."""
    return FunctionCall("trim", (stream,), ("=" if exact else "~",), _parse)


def _parse(reply: Any) -> Trimmed:
    removed, floor = reply
    return Trimmed(int(removed), str(floor) or None)
