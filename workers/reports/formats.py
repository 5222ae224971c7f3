"""Numbers and times as people read them. A value that isn't there is a dash."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

NONE = "–"
MINUS = "−"
"""As wide as a digit, unlike the hyphen: columns of numbers line up."""


def number(value: Any, digits: int = 2, *, signed: bool = False) -> str:
    if not _is_number(value):
        return NONE
    text = f"{abs(value):,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def percent(ratio: Any, digits: int = 2, *, signed: bool = False) -> str:
    """A ratio in percent."""
    return f"{number(ratio * 100, digits, signed=signed)} %" if _is_number(ratio) else NONE


def money(amount: Any, currency: str = "", *, signed: bool = False) -> str:
    """An amount with as many digits as its size asks for: 0.00012345 BTC, 1,234.56 USDT."""
    if not _is_number(amount):
        return NONE
    digits = 2 if abs(amount) >= 1 or amount == 0 else min(8, 3 - math.floor(math.log10(abs(amount))))
    return f"{number(amount, digits, signed=signed)} {currency}".rstrip()


def whole(value: Any) -> str:
    return number(value, 0)


def duration(seconds: Any) -> str:
    """Its two largest units."""
    if not _is_number(seconds):
        return NONE
    left = round(seconds)
    if left < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{left} s"
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def moment(value: Any) -> str:
    """To the minute, in UTC; of ISO 8601, a datetime or milliseconds."""
    try:
        when = datetime.fromtimestamp(value / 1000, tz=UTC) if _is_number(value) else datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        return NONE
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M}"


def tone(value: Any) -> str:
    """The class of a gain or a loss; the sign says it too, for those who don't see the colour."""
    if not _is_number(value) or value == 0:
        return ""
    return "gain" if value > 0 else "loss"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


FILTERS = {each.__name__: each for each in (number, percent, money, whole, duration, moment, tone)}
