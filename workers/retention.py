"""Which folders of ended jobs are to go: decided here as a value, done in `workers.housekeeping`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Folder:
    """A job's folder, or its artifacts."""

    name: str
    used_at: float
    """Seconds since the epoch."""
    size: int
    """Bytes."""
    ended: bool
    """Its jobs have ended for good: none runs, waits, or may come back."""


def to_remove(folders: Sequence[Folder], *, now: float, keep_days: float | None, keep_bytes: float | None) -> list[Folder]:
    """What is past its retention, the least used first. What hasn't ended counts, and stays.

    Args:
        folders: all of them.
        now: seconds since the epoch.
        keep_days: how long after its last use a folder stays; None for ever.
        keep_bytes: how much all of them together may hold; None is no limit.
    """
    oldest_first = sorted(folders, key=lambda folder: folder.used_at)
    too_old = [folder for folder in oldest_first if folder.ended and keep_days is not None and now - folder.used_at > keep_days * 86_400]
    if keep_bytes is None:
        return too_old
    left = sum(folder.size for folder in folders) - sum(folder.size for folder in too_old)
    too_much: list[Folder] = []
    for folder in oldest_first:
        if left <= keep_bytes:
            break
        if folder.ended and folder not in too_old:
            too_much.append(folder)
            left -= folder.size
    return too_old + too_much
