"""Changes of a job's payload that an operator asks for when it is redriven: `data.config.timerange=20250101-20250301`."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Final

from streams.bus.codec import decode_json
from streams.errors import BridgeSystemError, DecodeError

HEADER: Final = "payload_changes"
"""Of a redriven task's messages: its retries build the payload anew, and are changed in the same way."""
_ROOT: Final = "data"


class BadChange(BridgeSystemError):
    """A change can't be understood, or doesn't fit the payload; the message names it."""


def parse_changes(assignments: Iterable[str]) -> dict[str, Any]:
    """Read `data.<path>=<value>`; a value that is no JSON is a string.

    Returns:
        The new values by their paths below `data`.

    Raises:
        BadChange: there is no `=`, or the path doesn't begin with `data`.
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        root, _, below = path.strip().partition(".")
        if not equals or root != _ROOT or not all(below.split(".")):
            raise BadChange(f"{assignment!r} is no change: data.<key>[.<key> ...]=<value>, such as data.config.timerange=20250101-20250301")
        try:
            changes[below] = decode_json(text)
        except DecodeError:
            changes[below] = text
    return changes


def changed(data: Any, changes: Mapping[str, Any]) -> Any:
    """A payload with the changes made; keys on the way that aren't there are made.

    Raises:
        BadChange: what a path leads through is neither an object nor a list with that place.
    """
    new = copy.deepcopy(data)
    for path, value in changes.items():
        *way, last = path.split(".")
        place, gone = new, [_ROOT]
        for key in way:
            if isinstance(place, dict):
                place.setdefault(key, {})
            place = place[_key(place, key, gone)]
            gone.append(key)
        place[_key(place, last, gone)] = value
    return new


def _key(place: Any, key: str, gone: list[str]) -> str | int:
    if isinstance(place, dict):
        return key
    if isinstance(place, list) and key.isdigit() and int(key) < len(place):
        return int(key)
    kind = f"a list of {len(place)}" if isinstance(place, list) else type(place).__name__
    raise BadChange(f"{'.'.join([*gone, key])}: {'.'.join(gone)} is {kind}, and has no {key!r}")
