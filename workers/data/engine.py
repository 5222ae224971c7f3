"""The data worker's work in this process. Importing this module imports freqtrade, which takes seconds: a warm child server does it once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import workers.freqtrade.single_thread  # noqa: F401 - before anything imports numpy  # isort: skip

from freqtrade.data.history import get_datahandler
from freqtrade.enums import TradingMode
from freqtrade.exchange import timeframe_to_minutes

from workers.data.candle_rows import listed, row_of
from workers.data.config import data_config
from workers.data.downloading import download_candles
from workers.data.markets import save_markets
from workers.data.online import online_exchange
from workers.errors import JobFailure
from workers.freqtrade.running import freqtrade_run

if TYPE_CHECKING:
    from workers.data.params import DownloadParams, ExchangeParams
    from workers.data.settings import DataSettings
    from workers.job import Job


def download(job: Job, params: DownloadParams, settings: DataSettings) -> dict[str, Any]:
    """Download candles; a row for each file.

    Raises:
        BadRequest: the exchange has no such pair or timeframe.
        Retryable: the exchange can't be reached, or asks for patience.
        JobCancelled: the job was asked to stop.
    """
    with freqtrade_run(job, settings) as running:
        running.attach_log()
        logging.getLogger("freqtrade").setLevel(logging.INFO)
        config = data_config(params, settings)
        job.progress(0, None, f"markets of {params.exchange}")
        with online_exchange(config, job) as exchange:
            rows = download_candles(job, exchange, config, params)
    part, artifacts = listed(job, rows)
    totals = {name: sum(row[name] for row in rows) for name in ("candles", "added")}
    asked = {"exchange": params.exchange, "trading_mode": params.trading_mode, "timerange": params.timerange}
    artifacts.append(job.artifact(running.workspace.log_file, media_type="text/plain"))
    return asked | totals | part | {"artifacts": artifacts} | running.costs()


def list_candles(job: Job, params: ExchangeParams, settings: DataSettings) -> dict[str, Any]:
    """A row for each candle file of the data folder."""
    config = data_config(params, settings)
    job.directory.mkdir(parents=True, exist_ok=True)

    def show(done: int, total: int, message: str) -> None:
        job.checkpoint()
        job.progress(done, total, message)

    rows = candles_in(config["datadir"], config["dataformat_ohlcv"], params.trading_mode, show)
    part, artifacts = listed(job, rows)
    totals = {"candles": sum(row["candles"] for row in rows), "with_gaps": sum(bool(row["gaps"]["count"]) for row in rows)}
    return {"exchange": params.exchange, "trading_mode": params.trading_mode} | totals | part | {"artifacts": artifacts}


def candles_in(datadir: Path, data_format: str, trading_mode: str, show: Callable[[int, int, str], None]) -> list[dict[str, Any]]:
    """The rows of a data folder, by pair and timeframe; none when there is no such folder.

    Raises:
        JobFailure: a file's name makes no sense to freqtrade.
    """
    if not datadir.is_dir():
        return []
    handler = get_datahandler(datadir, data_format)
    try:
        found: Iterable[Any] = handler.ohlcv_get_available_data(datadir, TradingMode(trading_mode))
    except ValueError as exc:
        raise JobFailure(f"{datadir} holds a file whose name isn't freqtrade's: {exc}") from exc
    ordered = sorted(found, key=lambda candles: (candles[0], timeframe_to_minutes(candles[1]), str(candles[2])))
    rows = []
    for done, candles in enumerate(ordered):
        show(done, len(ordered), " ".join(map(str, candles)))
        rows.append(row_of(handler, datadir, candles))
    show(len(ordered), len(ordered), "")
    return rows


def refresh_markets(job: Job, params: ExchangeParams, settings: DataSettings) -> dict[str, Any]:
    """Load an exchange's markets and save the snapshot.

    Raises:
        Retryable: the exchange can't be reached, or asks for patience.
        JobCancelled: the job was asked to stop.
    """
    with freqtrade_run(job, settings) as running:
        running.attach_log()
        job.progress(0, None, f"markets of {params.exchange}")
        with online_exchange(data_config(params, settings), job) as exchange:
            saved = save_markets(exchange, params, settings)
    return saved | running.costs()
