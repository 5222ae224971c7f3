"""The page of a hyperopt: the loss over the epochs, the best ones, and the parameters of the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from workers.reports.backtest_page import INDEXED
from workers.reports.publishing import Page
from workers.reports.record import flat, hashes_of, shortened
from workers.reports.rendering import render

if TYPE_CHECKING:
    from workers.job import Job

SCRIPTS = ("uPlot.iife.min.js", "base.js", "tables.js", "charts.js", "scatter.js", "hyperopt.js")
MOST_EPOCHS = 5_000
"""Drawn: those with the lowest losses, when there are more."""


def draw_hyperopt(job: Job, result: Mapping[str, Any], details: Mapping[str, Any]) -> Page:
    """Draw it.

    Args:
        job: that ran.
        result: of `hyperopt.run`.
        details: `epochs` (rows as in `best_epochs`, all of them) and `config` (the effective one).
    """
    epochs = [row for row in details.get("epochs", result["best_epochs"]) if row["loss"] is not None]
    drawn = sorted(sorted(epochs, key=lambda row: row["loss"])[:MOST_EPOCHS], key=lambda row: row["epoch"])
    data = {
        "losses": [[row["epoch"], float(f"{row['loss']:.6g}")] for row in drawn],
        "points": [[row["max_drawdown_account"], row["profit_total"], row["total_trades"], f"epoch {row['epoch']}"] for row in drawn],
    }
    best = result["best"] or {"epoch": None, "loss": None, "params": {}, "params_not_optimized": {}, "metrics": {}}
    context = {
        "title": title_of(result),
        "job": job,
        "result": result,
        "best": best,
        "numbers": {key: best["metrics"].get(key) for key in INDEXED},
        "currency": best["metrics"].get("stake_currency") or "",
        "parameters": flat(best["params"]),
        "fixed": flat(best["params_not_optimized"] or {}),
        "epochs_left_out": len(epochs) - len(drawn),
        "without_loss": result["epochs"] - len(epochs),
        "config": flat(details.get("config", {})),
    }
    record = {
        "strategy": result["strategy"],
        "title": shortened(title_of(result), 200),
        "numbers": context["numbers"] | {"loss": best["loss"], "epochs": result["epochs"], "best epoch": best["epoch"]},
        "facts": {
            key: shortened(str(result[key]), 200) for key in ("hyperopt_loss", "hyperopt_random_state", "timeframe", "timerange") if result.get(key)
        }
        | {"spaces": shortened(", ".join(result["spaces"]), 200)},
        "config": context["config"],
        "hashes": hashes_of(result.get("manifest", {})),
    }
    return Page(record, lambda: render("hyperopt.html", context, data=data, scripts=SCRIPTS))


def title_of(result: Mapping[str, Any]) -> str:
    return " ".join(str(part) for part in (result["strategy"], result["hyperopt_loss"], result.get("timeframe"), result.get("timerange")) if part)
