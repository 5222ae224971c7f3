"""The index as a page. Its table is made in the browser: two thousand rows of markup would be megabytes, and are looked at a hundred at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workers.reports.record import REPORT, RunRecord, now
from workers.reports.rendering import render

SCRIPTS = ("uPlot.iife.min.js", "base.js", "tables.js", "charts.js", "index.js", "index_compare.js")


def index_row(record: RunRecord) -> dict[str, Any]:
    """What the index needs of a record, as JSON and as short as it can be: thousands of them are written after each run."""
    start = int(record.curve[0][0]) if record.curve else 0
    return {
        "task": record.task_id,
        "kind": record.kind.value,
        "strategy": record.strategy,
        "title": record.title,
        "at": int(record.finished_at.timestamp()),
        "page": record.has_page,
        "seconds": record.seconds,
        "host": record.host,
        "numbers": {key: float(f"{value:.6g}") for key, value in record.numbers.items() if value is not None},
        "facts": record.facts,
        "config": record.config,
        "hashes": {name: digest[:16] for name, digest in record.hashes.items()},
        "curve": [start, [int(moment - start) // 60 for moment, _ in record.curve], [round(ratio * 10_000) for _, ratio in record.curve]],
    }


def index_page(rows: Mapping[str, Mapping[str, Any]]) -> bytes:
    """The page of all runs.

    Args:
        rows: by folder, what `index_row` made.
    """
    texts = Texts()
    runs = [
        {"folder": folder, **row} | {name: texts.pairs(row[name].items()) for name in ("facts", "config", "hashes")}
        for folder, row in sorted(rows.items(), key=lambda item: item[1]["at"], reverse=True)
    ]
    data = {"runs": runs, "texts": texts.texts, "report": REPORT, "made_at": now().isoformat()}
    return render("index.html", {"title": "Runs", "count": len(rows)}, data=data, scripts=SCRIPTS)


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
