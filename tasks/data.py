"""The data folder as Celery tasks: candles and markets from an exchange, and what is there."""

from __future__ import annotations

from collections.abc import Sequence

from bridge import StreamTask
from tasks.celery import app
from workers.data.params import DownloadParams, ListParams, RefreshMarketsParams


@app.task(base=StreamTask, service="data", command="data.download")
def download_data_task(
    pairs: Sequence[str],
    timeframes: Sequence[str],
    timerange: str | None = None,
    exchange: str = "binance",
    trading_mode: str = "spot",
    *,
    prepend: bool = False,
    erase: bool = False,
    include_inactive: bool = False,
) -> DownloadParams:
    """Download candles as `freqtrade download-data` does; `.get()` gives a row for each file, with its range, candles and gaps.

    Args:
        pairs: `BTC/USDT`, `BTC/USDT:USDT` for a perpetual future, or patterns such as `.*/USDT`.
        timeframes: such as `["5m", "1h"]`; futures bring mark and funding-rate candles by themselves.
        timerange: such as `20260101-`; None takes the last 30 days of what isn't there yet, and brings the rest up to now.
        exchange: as in freqtrade's config.
        trading_mode: spot or futures.
        prepend: download what lies before the candles that are there.
        erase: replace the candles that are there.
        include_inactive: pairs whose trading has ended, too.
    """
    asked = {"exchange": exchange, "trading_mode": trading_mode, "pairs": pairs, "timeframes": timeframes, "timerange": timerange}
    return DownloadParams.model_validate(asked | {"prepend": prepend, "erase": erase, "include_inactive": include_inactive})


@app.task(base=StreamTask, service="data", command="data.list")
def list_data_task(exchange: str = "binance", trading_mode: str = "spot") -> ListParams:
    """Say which candles are there; `.get()` gives a row for each file, with its range, candles and gaps."""
    return ListParams.model_validate({"exchange": exchange, "trading_mode": trading_mode})


@app.task(base=StreamTask, service="data", command="data.refresh_markets")
def refresh_markets_task(exchange: str = "binance", trading_mode: str = "spot") -> RefreshMarketsParams:
    """Save the exchange's markets, which backtests take precision, fees, smallest orders and leverage tiers from."""
    return RefreshMarketsParams.model_validate({"exchange": exchange, "trading_mode": trading_mode})
