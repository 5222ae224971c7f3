"""The page of a FreqAI training: the error on rows that no model learned from, by pair and window, and what the models lean on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from workers.reports.publishing import Page
from workers.reports.record import flat, hashes_of, shortened
from workers.reports.rendering import render

if TYPE_CHECKING:
    from workers.job import Job

SCRIPTS = ("uPlot.iife.min.js", "base.js", "tables.js", "charts.js", "training.js")
MOST_WINDOWS = 500
"""Rows of the table."""
MOST_DRAWN = 5_000
"""Windows of the chart."""
MOST_FEATURES = 25
ALSO_DRAWN = ("train_rows", "fit_seconds")


def draw_training(job: Job, result: Mapping[str, Any], details: Mapping[str, Any]) -> Page:
    """Draw it.

    Args:
        job: that ran.
        result: of `freqai.train`.
        details: `windows` (all of them, with `importances`; the result lists no more than fit into a message) and `config` (the effective one).
    """
    windows = [dict(window) | {"tests": tests_of(window)} for window in details.get("windows") or result["windows"]]
    tests = list(dict.fromkeys(name for window in windows for name in window["tests"]))
    data = {
        "metrics": [*tests, *ALSO_DRAWN],
        "windows": [
            [
                window["pair"],
                datetime.fromisoformat(window["train_stop"]).timestamp(),
                [*(window["tests"].get(name) for name in tests), *map(window.get, ALSO_DRAWN)],
            ]
            for window in windows[:MOST_DRAWN]
        ],
    }
    means = {name: mean(window["tests"].get(name) for window in windows) for name in tests}
    features = leaned_on(details.get("windows", []))
    context = {
        "title": title_of(result),
        "job": job,
        "result": result,
        "windows": windows[:MOST_WINDOWS],
        "windows_left_out": max(0, len(windows) - MOST_WINDOWS),
        "tests": tests,
        "means": means,
        "pairs": sorted({window["pair"] for window in windows}),
        "rows": sum(window["train_rows"] for window in windows),
        "features": features[:MOST_FEATURES],
        "features_left_out": max(0, len(features) - MOST_FEATURES),
        "config": flat(details.get("config", {})),
    }
    numbers = {"windows": len(windows), "features": result["features"], "fit_seconds": result["fit_seconds"]} | means
    record = {
        "strategy": result["strategy"],
        "title": shortened(title_of(result), 200),
        "numbers": {shortened(name, 120): value for name, value in list(numbers.items())[:60]},
        "facts": {key: shortened(str(result[key]), 200) for key in ("model", "identifier", "timeframe", "timerange") if result.get(key)},
        "config": context["config"],
        "hashes": hashes_of(result.get("manifest", {})) | {"model": result["model_artifact"]["sha256"]},
    }
    return Page(record, lambda: render("training.html", context, data=data, scripts=SCRIPTS))


def title_of(result: Mapping[str, Any]) -> str:
    return " ".join(str(part) for part in (result["strategy"], result["model"], result.get("timeframe"), result.get("timerange")) if part)


def tests_of(window: Mapping[str, Any]) -> dict[str, float | None]:
    """A window's errors on its hold-out, by `label metric`."""
    return {f"{label} {metric}": value for label, metrics in (window.get("test") or {}).items() for metric, value in metrics.items()}


def mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def leaned_on(windows: Iterable[Mapping[str, Any]]) -> list[tuple[str, float]]:
    """Each feature's share of its window's importances, as the mean of the windows that name it; the largest first."""
    shares: dict[str, list[float]] = defaultdict(list)
    for window in windows:
        rows = window.get("importances") or []
        whole = sum(row["importance"] or 0 for row in rows)
        for row in rows:
            if whole:
                shares[row["feature"]].append((row["importance"] or 0) / whole)
    return sorted(((name, sum(found) / len(found)) for name, found in shares.items()), key=lambda item: -item[1])
