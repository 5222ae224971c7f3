"""`backtest.compare`: finished backtests in their order. It reads numbers only, so it needs no freqtrade."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from workers.backtesting.compare_params import ComparedRow, CompareParams
from workers.reports import Kind, publish

if TYPE_CHECKING:
    from workers.job import Job

LESS_IS_BETTER = frozenset({"max_drawdown_account"})


def compare(job: Job, params: CompareParams) -> dict[str, Any]:
    """Rank the rows; those that failed come apart, with their errors."""
    job.checkpoint()
    failed = [row for row in params.rows if row.error is not None]
    result: dict[str, Any] = {
        "title": params.title,
        "sort_by": params.sort_by,
        "ranking": [row.model_dump(exclude={"error"}) for row in ranked(params.rows, params.sort_by)],
        "failed": [row.model_dump(include={"task_id", "label", "strategy", "config_diff", "error"}) for row in failed],
        "artifacts": [],
    }
    result["artifacts"] += publish(job, kind=Kind.COMPARISON, result=result)
    return result


def ranked(rows: Iterable[ComparedRow], sort_by: str) -> list[ComparedRow]:
    """Those that didn't fail, best first; what has no such number (no trade, no Sharpe) comes last, the rest in the order it came in."""
    sign = 1 if sort_by in LESS_IS_BETTER else -1

    def place(row: ComparedRow) -> tuple[bool, float]:
        value = getattr(row, sort_by)
        return (True, 0.0) if value is None else (False, sign * value)

    return sorted((row for row in rows if row.error is None), key=place)
