"""Ids of stream entries, `<milliseconds>-<sequence>`: the time that they hold, and their order."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

LAST_SECOND: Final = 253_402_300_799
"""That a datetime can hold."""
LAST_SEQUENCE: Final = 2**64 - 1
"""Of the entries of one millisecond."""


def time_of(entry_id: str) -> datetime:
    """When an entry was written; the end of time for an id that somebody chose."""
    return datetime.fromtimestamp(min(int(entry_id.partition("-")[0]) / 1000, LAST_SECOND), UTC)


def just_before(moment: datetime) -> str:
    """The last possible id before a moment; a naive one is taken as UTC."""
    return f"{_milliseconds(moment) - 1}-{LAST_SEQUENCE}"


def last_until(moment: datetime) -> str:
    """The last possible id of a moment's millisecond."""
    return f"{_milliseconds(moment)}-{LAST_SEQUENCE}"


def order_of(entry_id: str) -> tuple[int, int]:
    """For sorting and comparing. An id without a sequence is the last of its millisecond, as Redis takes the end of a range."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds), int(sequence) if sequence else LAST_SEQUENCE


def _milliseconds(moment: datetime) -> int:
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(1, round(moment.timestamp() * 1000))
