"""`data.download`, `data.list`, `data.refresh_markets`: the command's data in, the result out. Importing this module imports no freqtrade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.data.params import DownloadParams, ListParams, RefreshMarketsParams
from workers.data.settings import DataSettings
from workers.freqtrade.extras import import_engine
from workers.handlers import handler

if TYPE_CHECKING:
    from workers.job import Job


@handler("data.download", settings=DataSettings)
def download(job: Job, params: DownloadParams) -> dict[str, Any]:
    """Download candles with freqtrade.

    Raises:
        MissingDependency: freqtrade isn't installed on this worker.
    """
    return _result(job, params, "download")


@handler("data.list", settings=DataSettings)
def list_candles(job: Job, params: ListParams) -> dict[str, Any]:
    """Say which candles are there, and where they have gaps."""
    return _result(job, params, "list_candles")


@handler("data.refresh_markets", settings=DataSettings)
def refresh_markets(job: Job, params: RefreshMarketsParams) -> dict[str, Any]:
    """Save an exchange's markets, which backtests take precision, fees and smallest orders from."""
    return _result(job, params, "refresh_markets")


def _result(job: Job, params: Any, name: str) -> dict[str, Any]:
    settings = DataSettings.load()
    engine = import_engine("workers.data.engine", command=job.type, extra="backtesting")
    result: dict[str, Any] = getattr(engine, name)(job, params, settings)
    return result
