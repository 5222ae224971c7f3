"""The FreqAI worker: trains FreqAI models with freqtrade itself.

Importing it registers the handler and imports no freqtrade, so that a parent process can know the command types cheaply.
"""

from __future__ import annotations

from workers.freqai.handler import train_freqai_model

PRELOAD = ("workers.freqai.engine",)
"""What a warm child server imports ahead of time."""

__all__ = ["PRELOAD", "train_freqai_model"]
