"""`freqtrade download-data` into a staging folder, file by file: progress, cancellation, and errors that freqtrade only logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from freqtrade.configuration import TimeRange
from freqtrade.data.history import get_datahandler, history_utils
from freqtrade.exceptions import ConfigurationError, OperationalException
from freqtrade.util import get_progress_tracker
from freqtrade.util.migrations import migrate_data

from workers.data.candle_rows import row_of
from workers.data.online import meaning
from workers.data.pairs import expand_pairs
from workers.data.staging import Staging, staging
from workers.data.turn import one_at_a_time
from workers.errors import BadRequest
from workers.freqtrade.candles import Candles

if TYPE_CHECKING:
    from workers.data.params import DownloadParams
    from workers.job import Job


def check_download(exchange: Any, params: DownloadParams) -> list[str]:
    """The pairs to download, once all that was asked for makes sense.

    Raises:
        BadRequest: names the key, and what would be right.
    """
    try:
        TimeRange.parse_timerange(params.timerange)
    except (ConfigurationError, ValueError) as exc:
        raise BadRequest(f"timerange: {exc}") from None
    for timeframe in params.timeframes:
        try:
            exchange.validate_timeframes(timeframe)
        except OperationalException as exc:
            raise BadRequest(f"timeframes: {exc}") from None
    if not exchange.get_option("ohlcv_has_history", True):
        raise BadRequest(
            f"exchange: {exchange.name} gives no old candles; they can be made from its trades with `freqtrade download-data --dl-trades`"
        )
    every = exchange.get_markets(tradable_only=True)
    active = exchange.get_markets(tradable_only=True, active_only=True)
    return expand_pairs(params.pairs, every if params.include_inactive else active, every.keys() - active.keys())


def download_candles(job: Job, exchange: Any, config: dict[str, Any], params: DownloadParams) -> list[dict[str, Any]]:
    """Download, and return a row for each file.

    A file is in its place as soon as it is whole: a job that is cancelled or fails keeps those it finished, and goes on from there.

    Raises:
        JobCancelled: the job was asked to stop.
        Retryable: the exchange can't be reached, or asks for patience.
    """
    pairs = check_download(exchange, params)
    name, datadir = config["exchange"]["name"], config["datadir"]
    datadir.mkdir(parents=True, exist_ok=True)

    def waiting() -> None:
        job.checkpoint()
        job.progress(0, None, f"waiting for another download of {name}")

    with one_at_a_time(datadir, waiting):
        migrate_data(config, exchange)
        with staging(datadir, get_datahandler(datadir, config["dataformat_ohlcv"])) as stage:
            files = Files(job, exchange, stage, params, len(pairs))
            with files.watched():
                history_utils.refresh_backtest_ohlcv_data(
                    exchange,
                    pairs=pairs,
                    timeframes=list(params.timeframes),
                    datadir=stage.folder,
                    trading_mode=params.trading_mode,
                    timerange=TimeRange.parse_timerange(params.timerange),
                    new_pairs_days=config["new_pairs_days"],
                    erase=params.erase,
                    data_format=config["dataformat_ohlcv"],
                    prepend=params.prepend,
                    progress_tracker=get_progress_tracker(ft_callback=files.on_progress),
                )
            return files.rows


@dataclass(slots=True)
class Files:
    """Stands around freqtrade's function for one file."""

    job: Job
    exchange: Any
    stage: Staging
    params: DownloadParams
    pairs: int
    kinds: int | None = None
    """Timeframes and candle types for each pair, once freqtrade has told."""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def on_progress(self, task: Any) -> None:
        """freqtrade's progress callback: its bar 0 counts what there is for each pair."""
        self.job.checkpoint()
        if task.id == 0:
            self.kinds = int(task.total)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While inside, each file that freqtrade downloads is fetched into the staging folder before and published after."""
        download = history_utils._download_pair_history  # noqa: SLF001 - freqtrade has no other place where a file begins and ends

        def one_file(**kwargs: Any) -> bool:
            self._one(download, kwargs)
            return True

        history_utils._download_pair_history = one_file  # noqa: SLF001
        try:
            yield
        finally:
            history_utils._download_pair_history = download  # noqa: SLF001

    def _one(self, download: Any, kwargs: dict[str, Any]) -> None:
        candles: Candles = (kwargs["pair"], kwargs["timeframe"], kwargs["candle_type"])
        self.job.checkpoint()
        self._tell(" ".join(map(str, candles)))
        before = row_of(self.stage.handler, self.stage.datadir, candles)
        if not self.params.erase:
            self.stage.fetch(candles)
        with _failures_told() as failures:
            download(**kwargs)
        if failures:
            self.job.checkpoint()
            raise self._meaning(failures[-1])
        self.stage.publish(candles)
        row = row_of(self.stage.handler, self.stage.datadir, candles)
        row["added"] = row["candles"] - (0 if self.params.erase else before["candles"])
        if self._starts_late(before):
            row["note"] = "earlier candles were asked for: prepend=true downloads what lies before the file's first"
        self.rows.append(row)
        self._tell(" ".join(map(str, candles)))

    def _starts_late(self, before: dict[str, Any]) -> bool:
        asked = TimeRange.parse_timerange(self.params.timerange)
        if self.params.prepend or self.params.erase or asked.starttype != "date" or before["from"] is None:
            return False
        return bool(asked.startdt.isoformat() < before["from"])

    def _meaning(self, failure: BaseException) -> BaseException:
        """An OSError, such as a full disk, says enough itself."""
        if isinstance(failure, OSError) and not isinstance(failure, TimeoutError):
            return failure
        told = meaning(self.exchange.name.lower(), failure)
        told.__cause__ = failure
        return told

    def _tell(self, message: str) -> None:
        total = self.pairs * self.kinds if self.kinds is not None else None
        self.job.progress(len(self.rows), total, message)


@contextmanager
def _failures_told() -> Iterator[list[BaseException]]:
    """freqtrade logs why a file failed and goes on with the next; this collects the exceptions that it logs."""
    failures: list[BaseException] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1] is not None:
                failures.append(record.exc_info[1])

    collector = Collector(logging.ERROR)
    history_utils.logger.addHandler(collector)
    try:
        yield failures
    finally:
        history_utils.logger.removeHandler(collector)
