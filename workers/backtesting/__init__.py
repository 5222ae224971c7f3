"""The backtesting worker: runs `backtest.run` commands with freqtrade itself.

Importing it registers the handler and imports no freqtrade, so that a parent process can know the command types cheaply.
"""

from __future__ import annotations

from workers.backtesting.handler import run_backtest

PRELOAD = ("workers.backtesting.engine",)
"""What a warm child server imports ahead of time."""

__all__ = ["PRELOAD", "run_backtest"]
