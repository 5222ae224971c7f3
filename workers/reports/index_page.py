"""The index as a page. Its table is made in the browser: two thousand rows of markup would be megabytes, and are looked at a hundred at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from workers.reports.record import REPORT, now
from workers.reports.rendering import render

SCRIPTS = ("uPlot.iife.min.js", "base.js", "tables.js", "charts.js", "index.js", "index_compare.js")


def index_page(records: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The page of all runs.

    Args:
        records: by folder, the fields of a `RunRecord` as JSON.
    """
    ordered = sorted(records.items(), key=lambda item: str(item[1]["finished_at"]), reverse=True)
    texts = Texts()
    data = {"runs": [_row(folder, record, texts) for folder, record in ordered], "texts": texts.texts, "report": REPORT, "made_at": now().isoformat()}
    return render("index.html", {"title": "Runs", "count": len(records)}, data=data, scripts=SCRIPTS)


class Texts:
    """Each text once: runs of one farm have most of their config in common."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    @property
    def texts(self) -> list[str]:
        return list(self._places)

    def place(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    def pairs(self, items: Iterable[tuple[str, str]]) -> list[int]:
        return [place for item in items for place in (self.place(item[0]), self.place(item[1]))]


def _row(folder: str, record: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    curve = record["curve"]
    return {
        "folder": folder,
        "task": record["task_id"],
        "kind": record["kind"],
        "strategy": record["strategy"],
        "title": record["title"],
        "at": int(datetime.fromisoformat(record["finished_at"]).timestamp()),
        "page": record["has_page"],
        "seconds": record["seconds"],
        "host": record["host"],
        "numbers": {key: None if value is None else float(f"{value:.6g}") for key, value in record["numbers"].items()},
        "facts": texts.pairs(record["facts"].items()),
        "config": texts.pairs(record["config"].items()),
        "hashes": texts.pairs((name, digest[:16]) for name, digest in record["hashes"].items()),
        "curve": [[int(moment) for moment, _ in curve], [round(ratio, 4) for _, ratio in curve]],
    }
