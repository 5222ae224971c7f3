"""freqtrade's values as JSON holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any


def json_safe(value: Any) -> Any:
    """The value as JSON holds it: numpy and pandas scalars as numbers, NaN and infinity as null, times as ISO 8601 in UTC."""
    if isinstance(value, Enum):
        value = value.value
    if hasattr(value, "item") and not isinstance(value, int | float):  # a numpy scalar
        value = value.item()
    match value:
        case None | bool() | str() as plain:
            return plain
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else None
        case datetime():
            # NaT is a datetime and equals nothing, itself included.
            return value.astimezone(UTC).isoformat() if value == value else None  # noqa: PLR0124
        case Mapping():
            return {str(key): json_safe(item) for key, item in value.items()}
        case list() | tuple() | set():
            return [json_safe(item) for item in value]
        case _:
            return str(value)
