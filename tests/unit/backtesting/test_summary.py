"""The result is plain JSON of a bounded size, whatever the statistics hold."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workers.backtesting.summary import NUMBERS, summarise
from workers.freqtrade.json_safe import json_safe
from workers.freqtrade.manifest import short_manifest


class Mode(StrEnum):
    SPOT = "spot"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (np.float64(0.25), 0.25),
        (np.float64("nan"), None),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (True, True),
        (Mode.SPOT, "spot"),
        (pd.NaT, None),
        (pd.Timestamp("2026-01-01T12:00", tz="UTC"), "2026-01-01T12:00:00+00:00"),
        (datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "2026-01-01T00:00:00+00:00"),
        (timedelta(minutes=90), "1:30:00"),
        ({1: [np.float32(0.5), (math.nan,)]}, {"1": [0.5, [None]]}),
    ],
)
def test_json_safe(value: object, expected: object) -> None:
    made = json_safe(value)
    assert made == expected
    assert type(made) is type(expected)
    assert json.loads(json.dumps(made, allow_nan=False)) == expected


def row(key: str) -> dict[str, Any]:
    return {
        "key": key,
        "trades": 123,
        **dict.fromkeys(("wins", "draws", "losses"), 41),
        **dict.fromkeys(
            ("profit_mean", "profit_total", "profit_total_abs", "profit_factor", "winrate", "max_drawdown_account"), np.float64(-1 / 3 * 1e-5)
        ),
        "duration_avg": "1 day, 12:34:00",
        "sharpe": math.nan,
    }


def statistics(pairs: int) -> dict[str, Any]:
    rows = [row(f"LONGCOIN{number}/USDT") for number in range(pairs)]
    return {
        **dict.fromkeys(NUMBERS, np.float64(math.pi)),
        "sharpe": math.nan,
        "backtest_start_ts": 1767225600000,
        "backtest_end_ts": 1767312000000,
        "best_pair": rows[0],
        "worst_pair": None,
        "results_per_pair": [*rows, row("TOTAL")],
        "exit_reason_summary": [row("roi"), row("TOTAL")],
        "trades": [{"pair": "X"}] * 1000,
    }


def test_summary_of_a_hundred_pairs_stays_small() -> None:
    text = json.dumps(summarise("EmaCross", statistics(100)), allow_nan=False)
    assert len(text) < 48 << 10
    assert "TOTAL" not in text


def test_summary_uses_freqtrades_names_and_leaves_the_trades_out() -> None:
    made = summarise("EmaCross", statistics(2))
    assert made["strategy"] == "EmaCross"
    assert made["sharpe"] is None
    assert made["sortino"] == math.pi
    assert made["backtest_start"] == datetime(2026, 1, 1, tzinfo=UTC).isoformat()
    assert [item["pair"] for item in made["pairs"]] == ["LONGCOIN0/USDT", "LONGCOIN1/USDT"]
    assert [item["exit_reason"] for item in made["exit_reasons"]] == ["roi"]
    assert made["worst_pair"] is None
    assert "trades" not in made


@pytest.mark.parametrize(("count", "listed"), [(50, True), (51, False)])
def test_long_list_of_candle_files_is_left_to_the_artifact(count: int, listed: bool) -> None:
    manifest = {"code": {}, "candles": {"count": count, "sha256": "0", "files": {}}}
    assert ("files" in short_manifest(manifest)["candles"]) is listed
    assert short_manifest(manifest)["candles"]["sha256"] == "0"
