"""Which folders go: those past their age, then the longest unused until the rest fits; what hasn't ended stays whatever it holds."""

from __future__ import annotations

import pytest

from workers.retention import Folder, to_remove

DAY = 86_400.0
NOW = 100 * DAY


def folder(name: str, age_days: float, size: int = 1, *, ended: bool = True) -> Folder:
    return Folder(name, NOW - age_days * DAY, size, ended)


FOLDERS = [folder("new", 1, 10), folder("old", 9, 10), folder("middle", 5, 10), folder("older", 12, 10), folder("open", 30, 10, ended=False)]


@pytest.mark.parametrize(
    ("keep_days", "keep_bytes", "removed"),
    [
        (None, None, []),
        (7, None, ["older", "old"]),
        (0, None, ["older", "old", "middle", "new"]),
        (None, 50, []),
        (None, 49, ["older"]),
        (None, 25, ["older", "old", "middle"]),
        (None, 0, ["older", "old", "middle", "new"]),
        (7, 25, ["older", "old", "middle"]),
        (7, 30, ["older", "old"]),
    ],
)
def test_by_age_and_by_size(keep_days: float | None, keep_bytes: float | None, removed: list[str]) -> None:
    assert removed == [each.name for each in to_remove(FOLDERS, now=NOW, keep_days=keep_days, keep_bytes=keep_bytes)]
