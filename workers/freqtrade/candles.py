"""The candle files of a backtest: which it needs, which are missing, and which it read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workers.errors import DataMissing
from workers.freqtrade.markets import PAIR

Candles = tuple[str, str, Any]
"""Pair, timeframe, freqtrade's CandleType."""
SHOWN = 10


def available_pairs(config: dict[str, Any]) -> set[str]:
    """The pairs that made-up markets are needed for: those asked for, and those with candles (for informative pairs and patterns)."""
    from freqtrade.data.history.datahandlers.idatahandler import get_datahandlerclass

    correlated = config.get("freqai", {}).get("feature_parameters", {}).get("include_corr_pairlist", [])
    try:
        stored = get_datahandlerclass(config["dataformat_ohlcv"]).ohlcv_get_available_data(config["datadir"], config["trading_mode"])
    except ValueError:  # a stray file whose name isn't freqtrade's
        stored = []
    return {*_named_pairs(config), *correlated, *(pair for pair, _, _ in stored)}


def check_candles(backtesting: Any) -> None:
    """Look for each candle file that the backtest will read, before it runs.

    freqtrade warns about a missing file and goes on without the pair; a pair that is named deserves an error. Pairs that come
    from a pattern such as `.*/USDT` may lack candles, as at home.

    Raises:
        DataMissing: names the files looked for.
    """
    candidates = {candles: _files(backtesting.config, candles) for candles in _needed(backtesting)}
    missing = {candles: files[0] for candles, files in candidates.items() if not any(file.is_file() for file in files)}
    if not missing:
        return
    lines = [f"{pair} {timeframe}: no file {file}" for (pair, timeframe, _), file in missing.items()]
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    if any(str(candle_type) == "funding_rate" for _, _, candle_type in missing):
        more.append("futures_funding_rate in the config takes the place of funding rates that you don't have")
    raise DataMissing("no candles:\n  " + "\n  ".join([*lines[:SHOWN], *more]))


def needed_files(backtesting: Any) -> set[Path]:
    """The candle files that are known to be read, before the run."""
    return {file for candles in _needed(backtesting) for file in _files(backtesting.config, candles) if file.is_file()}


def no_candles_in_range(backtesting: Any) -> DataMissing:
    """The error for files that hold nothing in the timerange, with what they hold."""
    from freqtrade.data.history import get_datahandler

    config = backtesting.config
    handler = get_datahandler(config["datadir"], config["dataformat_ohlcv"])
    lines = []
    for pair in backtesting.pairlists.whitelist[:SHOWN]:
        candles = (pair, backtesting.timeframe, config["candle_type_def"])
        first, last, length = handler.ohlcv_data_min_max(*candles)
        held = f"holds {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}" if length else "is empty or missing"
        lines.append(f"{pair} {backtesting.timeframe}: {_files(config, candles)[0]} {held}")
    return DataMissing("timerange: no candles in it:\n  " + "\n  ".join(lines))


@contextmanager
def candle_files_read() -> Iterator[set[Path]]:
    """Collect each candle file that freqtrade reads: the process runs one job, so every read is this job's.

    Informative pairs are read when the strategy asks for them, so no list made ahead is complete.
    """
    from freqtrade.data.history.datahandlers.idatahandler import IDataHandler

    read: set[Path] = set()
    load = IDataHandler.ohlcv_load

    def recording(self: Any, pair: str, timeframe: str, candle_type: Any, **kwargs: Any) -> Any:
        read.update(file for file in candle_file_names(self, self._datadir, (pair, timeframe, candle_type)) if file.is_file())
        return load(self, pair, timeframe, candle_type, **kwargs)

    IDataHandler.ohlcv_load = recording
    try:
        yield read
    finally:
        IDataHandler.ohlcv_load = load


def _needed(backtesting: Any) -> Iterator[Candles]:
    config, strategy = backtesting.config, backtesting.strategylist[0]
    candle_type = config["candle_type_def"]
    named = set(_named_pairs(config))
    pairs = [pair for pair in backtesting.pairlists.whitelist if pair in named]
    for pair in pairs:
        yield pair, backtesting.timeframe, candle_type
        if backtesting.timeframe_detail:
            yield pair, backtesting.timeframe_detail, candle_type
    if config["trading_mode"].value == "futures":
        for pair in pairs:
            yield from _fees(pair, backtesting.exchange, config)
    freqai = config.get("freqai", {})
    if freqai.get("enabled"):
        features = freqai.get("feature_parameters", {})
        for pair in [*pairs, *features.get("include_corr_pairlist", [])]:
            for timeframe in features.get("include_timeframes", []):
                yield pair, timeframe, candle_type
    strategy.dp = backtesting.dataprovider
    try:
        yield from strategy.gather_informative_pairs()
    except Exception:  # noqa: BLE001 - not knowable yet: it may need what bot_start sets up; the run itself will tell
        return


def _fees(pair: str, exchange: Any, config: dict[str, Any]) -> Iterator[Candles]:
    """What freqtrade reckons funding fees from. Without these files it goes on with no fees at all, which makes a futures backtest look better than it is."""
    from freqtrade.enums import CandleType

    yield pair, exchange.get_option("mark_ohlcv_timeframe"), CandleType.from_string(exchange.get_option("mark_ohlcv_price"))
    if config.get("futures_funding_rate") is None:
        yield pair, exchange.get_option("funding_fee_timeframe"), CandleType.FUNDING_RATE


def _named_pairs(config: dict[str, Any]) -> list[str]:
    return [pair for pair in config["exchange"].get("pair_whitelist", []) if PAIR.fullmatch(pair)]


def candle_file_names(handler: Any, datadir: Path, candles: Candles) -> list[Path]:
    """The file's name in a data folder; months are written 1Mo, and 1M by old versions, which comes second."""
    names = [handler._pair_data_filename(datadir, *candles, no_timeframe_modify=old) for old in (False, True)]  # noqa: SLF001 - its only place
    return list(dict.fromkeys(Path(name) for name in names))


def _files(config: dict[str, Any], candles: Candles) -> list[Path]:
    from freqtrade.data.history import get_datahandler

    return candle_file_names(get_datahandler(config["datadir"], config["dataformat_ohlcv"]), config["datadir"], candles)
