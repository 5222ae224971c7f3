"""A message for what has no model of its own, such as the news on `system:events`."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from streams.bus.clock import utc_now
from streams.bus.messages import EventMessage, Json


class Event(EventMessage):
    """Something that happened."""

    type: str = Field(min_length=1)
    """What, such as `strategy.deployed`."""
    source: str | None = None
    """Who says so."""
    data: Json = None
    at: datetime = Field(default_factory=utc_now)
