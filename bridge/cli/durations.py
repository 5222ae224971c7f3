"""Durations on the command line: `90s`, `15m`, `12h`, `7d`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import click

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Duration(click.ParamType[timedelta]):
    """A number and its unit."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read it."""
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no duration: a number and s, m, h, d or w, such as 90s, 12h or 7d", param, ctx)
        return timedelta(seconds=float(match[1]) * _SECONDS[match[2]])


def in_words(duration: timedelta) -> str:
    """Its largest unit only, as a table shows an age: `3d`."""
    seconds = max(0.0, duration.total_seconds())
    unit = next((unit for unit in "dhm" if seconds >= _SECONDS[unit]), "s")
    return f"{seconds / _SECONDS[unit]:.0f}{unit}"
