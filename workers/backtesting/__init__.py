"""The backtesting worker: runs `backtest.run` commands with freqtrade itself, ranks their results
(`backtest.compare`), and analyses strategies (`analysis.lookahead`, `analysis.recursive`).

Importing it registers the handlers and imports no freqtrade, so that a parent process can know the command types cheaply.
"""

from __future__ import annotations

from workers.backtesting.analysis_handlers import analyse_lookahead, analyse_recursive
from workers.backtesting.handler import compare_backtests, run_backtest

PRELOAD = ("workers.backtesting.engine", "workers.backtesting.lookahead", "workers.backtesting.recursive")
"""What a warm child server imports ahead of time."""

__all__ = ["PRELOAD", "analyse_lookahead", "analyse_recursive", "compare_backtests", "run_backtest"]
