"""The hyperopt worker: runs `hyperopt.run` commands with freqtrade itself.

Importing it registers the handler and imports no freqtrade, so that a parent process can know the command types cheaply.
"""

from __future__ import annotations

from workers.hyperopt.handler import run_hyperopt

PRELOAD = ("workers.hyperopt.engine",)
"""What a warm child server imports ahead of time."""

__all__ = ["PRELOAD", "run_hyperopt"]
