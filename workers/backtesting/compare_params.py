"""What a `backtest.compare` command carries: rows of finished backtests. The Celery side imports this module too: pydantic and the standard library only."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

Number = float | None
RankedBy = Literal[
    "profit_total", "profit_total_abs", "max_drawdown_account", "sharpe", "sortino", "calmar", "profit_factor", "total_trades", "winrate"
]
MOST_ROWS = 2_000


class RowError(BaseModel):
    """Why a run has no numbers."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: str = Field(max_length=200)
    message: str = Field(default="", max_length=10_000)


class ComparedRow(BaseModel):
    """One run: what makes it differ from the others, and its numbers under freqtrade's own names.

    Keys that aren't listed are left out, so that a whole result can be sent too.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    task_id: str = Field(max_length=256)
    label: str = Field(default="", max_length=200)
    """Names the run on the page; default its strategy."""
    strategy: str = Field(max_length=128)
    config_diff: dict[str, JsonValue] = Field(default_factory=dict, max_length=200)
    """What differs from the config that the runs have in common, by dotted path."""
    error: RowError | None = None

    profit_total: Number = None
    """A ratio: 0.01 is one percent, as the other ratios."""
    profit_total_abs: Number = None
    max_drawdown_account: Number = None
    sharpe: Number = None
    sortino: Number = None
    calmar: Number = None
    profit_factor: Number = None
    total_trades: int | None = None
    winrate: Number = None
    timeframe: str | None = Field(default=None, max_length=20)
    timerange: str | None = Field(default=None, max_length=100)
    report: str | None = Field(default=None, max_length=4_096)
    """Where the run's own page is."""


class CompareParams(BaseModel):
    """Rank finished backtests."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(default="Comparison", max_length=200)
    rows: list[ComparedRow] = Field(min_length=1, max_length=MOST_ROWS)
    sort_by: RankedBy = "profit_total"
    """The best first: the highest, and of the drawdown the lowest."""
