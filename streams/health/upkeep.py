"""What the works of upkeep noted, and what the reconciler found, from the hash `upkeep`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from streams.bus.codec import decode_json
from streams.errors import DecodeError
from streams.health.snapshot import Upkeep

RECONCILE: Final = "reconcile"


def read(notes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The notes by work; what can't be read is left out."""
    known: dict[str, dict[str, Any]] = {}
    for name, text in sorted(notes.items()):
        try:
            note = decode_json(text)
        except DecodeError:
            continue
        if isinstance(note, dict):
            known[name] = note
    return known


def works(notes: Mapping[str, Mapping[str, Any]], now: float) -> tuple[Upkeep, ...]:
    """When each work was done last.

    Args:
        notes: by work.
        now: seconds since the epoch.
    """
    return tuple(
        Upkeep(name=name, age_seconds=_age(note.get("at"), now), took_seconds=float(note.get("seconds") or 0.0), error=str(note.get("error") or ""))
        for name, note in notes.items()
    )


def findings(notes: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """What the reconciler left unrepaired, by kind."""
    left = notes.get(RECONCILE, {}).get("outcome")
    return {str(kind): count for kind, count in left.items() if isinstance(count, int) and count} if isinstance(left, dict) else {}


def _age(moment: Any, now: float) -> float | None:
    try:
        return max(0.0, now - datetime.fromisoformat(moment).timestamp())
    except (TypeError, ValueError):
        return None
