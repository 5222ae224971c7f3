"""The time, in the forms that messages and functions carry."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from streams.bus.codec import encode_datetime


def utc_now() -> datetime:
    """The current time, aware, in UTC."""
    return datetime.now(UTC)


def moment() -> str:
    """Now, as messages carry it."""
    return encode_datetime(utc_now())


def now_ms() -> int:
    """Milliseconds since the epoch, as functions compare them."""
    return int(time.time() * 1000)
