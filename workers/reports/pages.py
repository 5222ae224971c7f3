"""Who draws which kind of run."""

from __future__ import annotations

from workers.reports.backtest_page import draw_backtest
from workers.reports.comparison_page import draw_comparison
from workers.reports.hyperopt_page import draw_hyperopt
from workers.reports.publishing import Draw
from workers.reports.record import Kind
from workers.reports.training_page import draw_training

DRAW: dict[Kind, Draw] = {
    Kind.BACKTEST: draw_backtest,
    Kind.COMPARISON: draw_comparison,
    Kind.TRAINING: draw_training,
    Kind.HYPEROPT: draw_hyperopt,
}
