"""The data worker: the only one that uses the network. It brings candles into the data folder and markets into their snapshots, and says what is there.

Importing it registers the handlers and imports no freqtrade, so that a parent process can know the command types cheaply.
"""

from __future__ import annotations

from workers.data.handler import download, list_candles, refresh_markets

PRELOAD = ("workers.data.engine",)
"""What a warm child server imports ahead of time."""

__all__ = ["PRELOAD", "download", "list_candles", "refresh_markets"]
