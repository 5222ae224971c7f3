"""Who draws which kind of run."""

from __future__ import annotations

from workers.reports.backtest_page import draw_backtest
from workers.reports.comparison_page import draw_comparison
from workers.reports.publishing import Draw
from workers.reports.record import Kind

DRAW: dict[Kind, Draw] = {
    Kind.BACKTEST: draw_backtest,
    Kind.COMPARISON: draw_comparison,
}
