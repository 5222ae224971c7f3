"""What the data worker's commands carry. The Celery side imports this module too: pydantic and the standard library only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from workers.freqtrade.config.keys import A_TIMEFRAME, A_TIMERANGE, AN_EXCHANGE, Rule


def _follows(rule: Rule) -> AfterValidator:
    def check(value: str) -> str:
        if not rule.accepts(value):
            raise ValueError(rule.reason)
        return value

    return AfterValidator(check)


ExchangeName = Annotated[str, _follows(AN_EXCHANGE)]
TradingMode = Literal["spot", "futures"]


class ExchangeParams(BaseModel):
    """One exchange in one trading mode."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    exchange: ExchangeName = "binance"
    """As in freqtrade's config."""
    trading_mode: TradingMode = "spot"


class ListParams(ExchangeParams):
    """Which candles are there."""


class RefreshMarketsParams(ExchangeParams):
    """Save the markets anew."""


class DownloadParams(ExchangeParams):
    """Candles to download, as `freqtrade download-data` does. With futures, mark and funding-rate candles come too."""

    pairs: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(min_length=1, max_length=2_000)
    """`BTC/USDT`, `BTC/USDT:USDT` for a perpetual future, or a pattern such as `.*/USDT`."""
    timeframes: tuple[Annotated[str, _follows(A_TIMEFRAME)], ...] = Field(min_length=1, max_length=30)
    timerange: Annotated[str, _follows(A_TIMERANGE)] | None = None
    """None takes the last 30 days of what isn't there yet, and brings the rest up to now."""
    prepend: bool = False
    """Download what lies before the candles that are there; else only what comes after them."""
    erase: bool = False
    """Replace the candles that are there."""
    include_inactive: bool = False
    """Pairs whose trading has ended, too."""
