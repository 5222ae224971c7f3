"""Tasks whose job is one backtest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from celery import states

from bridge.chord_parts import told_error
from tasks.config_task import ConfigTask
from tasks.ranking import row_of


class BacktestTask(ConfigTask):
    """As a part of a comparison it hands on a row of its result, or of its error: it fails for its caller only."""

    abstract = True
    history: ClassVar[Mapping[str, str]] = {
        **ConfigTask.history,
        "profit": "profit_total",
        "drawdown": "max_drawdown_account",
        "trades": "total_trades",
        "sharpe": "sharpe",
        "timerange": "timerange",
        "report": "report",
    }

    def chord_part(self, told: dict[str, Any], task_id: str, state: str, outcome: Any) -> dict[str, Any]:
        result = outcome if state == states.SUCCESS else {"strategy": told.get("strategy"), "error": told_error(state, outcome)}
        return row_of(result, task_id=task_id, label=told.get("label"), config_diff=told.get("config_diff"))
