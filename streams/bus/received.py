"""What comes from a stream: the entry, when it was written, and its message."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic

from typing_extensions import TypeVar

from streams.bus.entry_ids import time_of
from streams.bus.messages import EventMessage

M = TypeVar("M", bound=EventMessage, default=EventMessage)


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
