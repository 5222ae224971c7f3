"""The windows of a walk-forward test: fit on the past, validate on what came after, move on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from workers.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Window:
    """Two timeranges of freqtrade's, the second right after the first."""

    train: str
    validate: str


def windows(timerange: str, *, train_days: int, validate_days: int, step_days: int | None = None) -> list[Window]:
    """Every whole window within a timerange; what is left at its end is not used.

    Args:
        timerange: with both ends, as `20250101-20260101`.
        train_days: length of the part to fit on.
        validate_days: length of the part after it.
        step_days: from one window to the next; by default `validate_days`, so that each day is validated once.

    Raises:
        BadRequest: no such timerange, no such lengths, or not one window fits.
    """
    step = validate_days if step_days is None else step_days
    for name, days in (("train_days", train_days), ("validate_days", validate_days), ("step_days", step)):
        if days < 1:
            raise BadRequest(f"{name}: must be at least 1")
    start, end = _ends(timerange)
    found = list(_windows(start, end, timedelta(days=train_days), timedelta(days=validate_days), timedelta(days=step)))
    if not found:
        raise BadRequest(f"timerange: its {(end - start).days} days are fewer than train_days + validate_days = {train_days + validate_days}")
    return found


def _windows(start: datetime, end: datetime, train: timedelta, validate: timedelta, step: timedelta) -> Iterator[Window]:
    while start + train + validate <= end:
        middle = start + train
        yield Window(f"{start:%Y%m%d}-{middle:%Y%m%d}", f"{middle:%Y%m%d}-{middle + validate:%Y%m%d}")
        start += step


def _ends(timerange: str) -> tuple[datetime, datetime]:
    match = re.fullmatch(r"(\d{8})-(\d{8})", str(timerange))
    try:
        if match is not None:
            start, end = (datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC) for day in match.groups())
            return start, end
    except ValueError:
        pass
    raise BadRequest("timerange: a walk-forward test needs both ends as days, such as 20250101-20260101")
