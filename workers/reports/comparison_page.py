"""The page of a comparison: the ranking, what differs, profit against drawdown, and the curves of the runs over each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workers.folder import folder_name
from workers.reports.index import read_record
from workers.reports.publishing import Page
from workers.reports.record import REPORT, flat, shortened
from workers.reports.rendering import render

if TYPE_CHECKING:
    from workers.artifacts import ArtifactStore
    from workers.job import Job

SCRIPTS = ("uPlot.iife.min.js", "base.js", "tables.js", "charts.js", "scatter.js", "comparison.js")
MOST_CURVES = 12
"""More lines over each other tell nobody anything."""
MOST_DRAWN = 300
"""Rows of the table."""


def draw_comparison(job: Job, result: Mapping[str, Any], details: Mapping[str, Any]) -> Page:  # noqa: ARG001 - it needs none
    """Draw it; `result` is that of `backtest.compare`."""
    ranking = result["ranking"]
    rows = [row | {"name": name_of(row), "link": link_to(job.artifacts, row), "differs": flat(row["config_diff"])} for row in ranking[:MOST_DRAWN]]
    data = {
        "sort_by": result["sort_by"],
        "points": [[row["max_drawdown_account"], row["profit_total"], row["total_trades"], row["name"]] for row in rows],
        "curves": curves_of(job.artifacts, ranking[:MOST_CURVES]),
    }
    keys = sorted({key for row in rows for key in row["differs"]})
    context = {
        "title": result["title"],
        "job": job,
        "result": result,
        "rows": rows,
        "rows_left_out": len(ranking) - len(rows),
        "failed": [row | {"name": name_of(row), "differs": flat(row["config_diff"])} for row in result["failed"]],
        "keys": keys,
        "most_curves": MOST_CURVES,
    }
    best = ranking[0] if ranking else {}
    record = {
        "strategy": shortened(", ".join(sorted({row["strategy"] for row in ranking})), 128),
        "title": result["title"],
        "numbers": {
            key: best.get(key)
            for key in (
                "profit_total",
                "profit_total_abs",
                "max_drawdown_account",
                "sharpe",
                "sortino",
                "calmar",
                "profit_factor",
                "total_trades",
                "winrate",
            )
        },
        "facts": {"runs": str(len(ranking)), "failed": str(len(result["failed"])), "ranked by": result["sort_by"]}
        | ({"best": shortened(name_of(best), 200)} if best else {}),
        "config": {"config that differs": shortened(json.dumps(keys), 200)} if keys else {},
    }
    return Page(record, lambda: render("comparison.html", context, data=data, scripts=SCRIPTS))


def name_of(row: Mapping[str, Any]) -> str:
    return str(row["label"] or row["strategy"])


def folder_of(store: ArtifactStore, row: Mapping[str, Any]) -> str | None:
    """The folder of the run's own page, which of a reused result is an earlier run's. None for a page elsewhere, as a row may name any address."""
    folder = str(row["report"] or "").removeprefix(f"{store.url}/").removesuffix(f"/{REPORT}")
    return folder if folder_name(folder) == folder and row["report"] == f"{store.url}/{folder}/{REPORT}" else None


def link_to(store: ArtifactStore, row: Mapping[str, Any]) -> str | None:
    """To the run's own page, from this one."""
    folder = folder_of(store, row)
    return None if folder is None else f"../{folder}/{REPORT}"


def curves_of(store: ArtifactStore, ranking: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each run's short curve out of its record, as far as this store has it."""
    found = []
    for row in ranking:
        folder = folder_of(store, row)
        record = None if folder is None else read_record(store, folder)
        if record is not None and record.curve:
            found.append({"name": name_of(row), "points": record.curve})
    return found
