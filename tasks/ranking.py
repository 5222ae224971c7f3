"""One backtest's result as a row of a comparison: small enough that hundreds fit into one message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

NUMBERS: Final = (
    *("profit_total", "profit_total_abs", "max_drawdown_account", "sharpe", "sortino", "calmar", "profit_factor"),
    *("total_trades", "winrate"),
)
TEXTS: Final = ("timeframe", "timerange", "report")
LONGEST_MESSAGE: Final = 500
LONGEST_LABEL: Final = 200


def row_of(
    result: Mapping[str, Any], *, task_id: str | None = None, label: str | None = None, config_diff: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A row of a result, or of a row: a comparison takes both.

    Args:
        result: of a backtest, or a row.
        task_id: its job.
        label: what tells it apart; by default its strategy, timeframe and timerange.
        config_diff: the config keys by which it differs from the others.
    """
    error = result.get("error")
    words = [str(result[key]) for key in ("strategy", "timeframe", "timerange") if result.get(key)]
    return {
        "task_id": task_id or result.get("task_id") or "",
        "label": (label or result.get("label") or " ".join(words))[:LONGEST_LABEL],
        "strategy": result.get("strategy"),
        "config_diff": dict(config_diff or result.get("config_diff") or {}),
        "error": {"type": error["type"], "message": error["message"][:LONGEST_MESSAGE]} if error else None,
        **{key: result.get(key) for key in (*NUMBERS, *TEXTS)},
    }
