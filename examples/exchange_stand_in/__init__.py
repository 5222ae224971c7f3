"""A local look-alike of Binance's public REST API, spot and USDT-margined futures: enough for freqtrade to download candles and to run a dry-run bot.

Its prices are a function of the time and of a seed, so every candle, ticker and book agrees with the others, and two runs get the same candles.
"""

from __future__ import annotations

from examples.exchange_stand_in.answers import Gap
from examples.exchange_stand_in.server import ExchangeStandIn

__all__ = ["ExchangeStandIn", "Gap"]
