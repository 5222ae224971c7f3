"""The windows of a FreqAI run: FreqAI slides over the timerange, trains on some days and predicts the days after them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workers.errors import BadRequest, DataMissing

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Window:
    """One training of one pair, and the range that its model predicts. Times are seconds since the epoch."""

    pair: str
    number: int
    """Among the pair's, from 1."""
    total: int
    train_start: int
    train_stop: int
    """FreqAI names the model's folder and files by it."""
    predict_start: int
    predict_stop: int

    @property
    def trains_on(self) -> str:
        """For people."""
        return f"{moment(self.train_start)} to {moment(self.train_stop)}"

    def row(self) -> dict[str, Any]:
        """As part of a result."""
        return {
            "pair": self.pair,
            "window": self.number,
            "windows": self.total,
            "train_start": _iso(self.train_start),
            "train_stop": _iso(self.train_stop),
            "predict_start": _iso(self.predict_start),
            "predict_stop": _iso(self.predict_stop),
        }


def planned_windows(backtesting: Any) -> list[Window]:
    """The windows of each pair, as FreqAI itself will split the timerange.

    Raises:
        BadRequest: the timerange or a period doesn't make windows.
    """
    from freqtrade.freqai.data_kitchen import FreqaiDataKitchen

    check_periods(backtesting.config)
    check_pairs(backtesting.pairlists.whitelist)
    windows = []
    for pair in backtesting.pairlists.whitelist:
        kitchen = FreqaiDataKitchen(backtesting.config, live=False, pair=pair)
        ranges = list(zip(kitchen.training_timeranges, kitchen.backtesting_timeranges, strict=True))
        windows += [
            Window(pair, number, len(ranges), train.startts, train.stopts, predict.startts, predict.stopts)
            for number, (train, predict) in enumerate(ranges, 1)
        ]
    return windows


def check_training_candles(backtesting: Any, windows: list[Window]) -> None:
    """See that the first window of each pair has its days, before anything is trained: FreqAI trains on what there is, if it is one candle.

    Raises:
        DataMissing: says how many days there are and how many are needed.
    """
    from freqtrade.data.history import get_datahandler

    config = backtesting.config
    handler = get_datahandler(config["datadir"], config["dataformat_ohlcv"])
    lines = []
    for window in windows:
        if window.number > 1:
            continue
        first, last, length = handler.ohlcv_data_min_max(window.pair, backtesting.timeframe, config["candle_type_def"])
        start, stop = max(first.timestamp(), window.train_start), min(last.timestamp() + backtesting.timeframe_secs, window.train_stop)
        held = max(0.0, stop - start) if length else 0.0
        if held < window.train_stop - window.train_start:
            lines.append(
                f"{window.pair} {backtesting.timeframe}: the first window trains on {window.trains_on}: {(window.train_stop - window.train_start) / DAY_S:g} days "
                f"are needed, and there are {held / DAY_S:.1f} (the file holds {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M})"
            )
    if lines:
        raise DataMissing("too few candles to train on; download more, or let the timerange begin later:\n  " + "\n  ".join(lines))


def moment(timestamp: float) -> str:
    """For people, in UTC."""
    return datetime.fromtimestamp(timestamp, tz=UTC).strftime("%Y-%m-%d %H:%M")


def _iso(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, tz=UTC).isoformat()


def check_periods(config: dict[str, Any]) -> None:
    """FreqAI would split the timerange for ever with a period of nothing, and begins in 1970 without a start."""
    from freqtrade.configuration import TimeRange

    timerange = TimeRange.parse_timerange(config.get("timerange"))
    if not (timerange.startts and timerange.stopts):
        raise BadRequest("timerange: FreqAI needs its start and its end, such as 20260101-20260301")
    freqai = config["freqai"]
    for key in ("train_period_days", "backtest_period_days"):
        if freqai.get(key, 0) <= 0:
            raise BadRequest(f"freqai.{key}: must be more than 0")


def check_pairs(pairs: list[str]) -> None:
    """FreqAI names models by the coin alone: of two pairs of one coin, the second would get the model of the first, without a word."""
    counts = Counter(pair.split("/")[0] for pair in pairs)
    if doubled := sorted(coin for coin, count in counts.items() if count > 1):
        raise BadRequest(f"exchange.pair_whitelist: FreqAI keeps one model a coin; there are several pairs of {', '.join(doubled)}")
