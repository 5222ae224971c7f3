"""What a candle file holds, as a row: its range, the number of candles, its gaps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freqtrade.enums import CandleType
from freqtrade.exchange import timeframe_to_msecs
from pandas import Series, Timedelta

from workers.freqtrade.candles import Candles, candle_file_names
from workers.freqtrade.json_safe import json_safe

if TYPE_CHECKING:
    from workers.job import Job

LISTED = 200
"""Rows in a result; the artifact `candles.json` holds all."""
SLACK = 1.5
"""A gap is longer than this many steps: months have no fixed length, funding times lie some milliseconds off."""


def row_of(handler: Any, datadir: Path, candles: Candles) -> dict[str, Any]:
    """Read one file.

    Args:
        handler: freqtrade's data handler of the folder.
        datadir: the file is named relative to it.
        candles: whose file.
    """
    pair, timeframe, candle_type = candles
    dates = handler._ohlcv_load(pair, timeframe, None, candle_type)["date"]  # noqa: SLF001 - `ohlcv_load` would fill and trim
    files = candle_file_names(handler, datadir, candles)
    file = next((file for file in files if file.is_file()), files[0])
    row = {
        "pair": pair,
        "timeframe": timeframe,
        "candle_type": str(candle_type),
        "file": file.relative_to(datadir).as_posix(),
        "from": dates.iloc[0].to_pydatetime() if len(dates) else None,
        "to": dates.iloc[-1].to_pydatetime() if len(dates) else None,
        "candles": len(dates),
        "gaps": gaps_in(dates, timeframe, candle_type),
    }
    safe: dict[str, Any] = json_safe(row)
    return safe


def gaps_in(dates: Series[Any], timeframe: str, candle_type: CandleType) -> dict[str, Any]:
    """How many gaps there are, how many candles are missing in all, and the longest: the candles before and after it."""
    steps = dates.diff().iloc[1:]
    step = Timedelta(milliseconds=timeframe_to_msecs(timeframe))
    if candle_type == CandleType.FUNDING_RATE and len(steps):
        step = max(step, steps.median())  # paid every eight hours, or four: the file's timeframe says nothing of it
    wide = steps[steps > SLACK * step]
    missing = (wide / step).round().astype(int) - 1
    if not len(wide):
        return {"count": 0, "missing": 0, "longest": None}
    after = missing.idxmax()
    longest = {"after": dates.loc[after - 1].to_pydatetime(), "before": dates.loc[after].to_pydatetime(), "missing": int(missing.loc[after])}
    return {"count": len(wide), "missing": int(missing.sum()), "longest": longest}


def listed(job: Job, rows: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The rows as part of a result, and the artifact that holds all of them when they are many."""
    if len(rows) <= LISTED:
        return {"files": rows, "file_count": len(rows)}, []
    file = job.directory / "candles.json"
    file.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return {"files": rows[:LISTED], "file_count": len(rows)}, [job.artifact(file)]
