"""What comes from a stream: the entry, when it was written, and its message."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic

from typing_extensions import TypeVar

from streams.bus.messages import EventMessage

M = TypeVar("M", bound=EventMessage, default=EventMessage)

LAST_SECOND = 253_402_300_799
"""That a datetime can hold."""
LAST_SEQUENCE = 2**64 - 1
"""Of the entries of one millisecond."""


@dataclass(frozen=True, slots=True)
class Received(Generic[M]):
    """One entry of a stream."""

    stream: str
    """Logical name, without the deployment's prefix."""
    id: str
    fields: dict[str, str] = field(hash=False, repr=False)
    """As they came, also those that the message's type doesn't know."""
    message_type: type[M]
    delivery: int = 1
    """How often it was given to a consumer of the group, this time included; 1 where it was read without a group."""

    @property
    def message(self) -> M:
        """The message.

        Raises:
            NewerSchema: it is of a later version.
            DecodeError: it is no such message.
        """
        return self.message_type.from_redis_dict(self.fields)

    @property
    def at(self) -> datetime:
        """When the server took it, to the millisecond."""
        return time_of(self.id)


def time_of(entry_id: str) -> datetime:
    """When an entry was written; the end of time for an id that somebody chose."""
    return datetime.fromtimestamp(min(int(entry_id.partition("-")[0]) / 1000, LAST_SECOND), UTC)


def just_before(moment: datetime) -> str:
    """The last possible entry id before a moment; a naive one is taken as UTC."""
    return f"{_milliseconds(moment) - 1}-{LAST_SEQUENCE}"


def last_until(moment: datetime) -> str:
    """The last possible entry id of a moment's millisecond."""
    return f"{_milliseconds(moment)}-{LAST_SEQUENCE}"


def _milliseconds(moment: datetime) -> int:
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(1, round(moment.timestamp() * 1000))
