"""The backtesting worker: runs `backtest.run` commands with freqtrade itself, and ranks their results (`backtest.compare`).

Importing it registers the handlers and imports no freqtrade, so that a parent process can know the command types cheaply.
"""

from __future__ import annotations

from workers.backtesting.handler import compare_backtests, run_backtest

PRELOAD = ("workers.backtesting.engine",)
"""What a warm child server imports ahead of time."""

__all__ = ["PRELOAD", "compare_backtests", "run_backtest"]
