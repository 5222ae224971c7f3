"""freqtrade's analyses of a strategy: the same findings as its own commands', and how they stop and fail."""

from __future__ import annotations

import csv
import re
from typing import Any

import pytest

from tests.equality.conftest import PAIRS, STRATEGIES, Backtests, Outcome, call_config, market, run_plain_freqtrade, write_markets

BIASED = """
import talib.abstract as ta
from freqtrade.strategy import IStrategy

class Biased(IStrategy):
    timeframe = "5m"
    minimal_roi = {"0": 0.01}
    stoploss = -0.02
    startup_candle_count = 20

    def populate_indicators(self, dataframe, metadata):
        dataframe["tomorrow"] = dataframe["close"].shift(-3)
        dataframe["ema"] = ta.EMA(dataframe, timeperiod=15)
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["tomorrow"] > dataframe["close"] * 1.004, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["tomorrow"] < dataframe["close"], "exit_long"] = 1
        return dataframe
"""


def analyse(backtests: Backtests, kind: str, strategy: str, *, cancel_at: int | None = None, **changes: Any) -> Outcome:
    return backtests.run(strategy, config_of(**changes), command=f"analysis.{kind}", cancel_at=cancel_at)


def config_of(**changes: Any) -> dict[str, Any]:
    return call_config(**{"timerange": "20260105-20260109", "exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT", "ETH/USDT"]}} | changes)


@pytest.fixture
def analyses(backtests: Backtests) -> Backtests:
    """With a strategy that looks ahead beside a clean one, and markets of an exchange."""
    markets = [market(pair, price=0.01, amount=0.001, smallest_cost=5, fee=0.00075) for pair in PAIRS]
    backtests.markets = write_markets(backtests.folder / "markets", *markets).parent
    backtests.strategies = backtests.folder / "strategies"
    backtests.strategies.mkdir()
    (backtests.strategies / "biased.py").write_text(BIASED)
    (backtests.strategies / "ema_cross.py").write_text((STRATEGIES / "ema_cross.py").read_text())
    return backtests


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "has_bias"), [("Biased", True), ("EmaCross", False)])
def test_same_lookahead_findings_as_plain_freqtrade(analyses: Backtests, strategy: str, *, has_bias: bool) -> None:
    own: dict[str, Any] = {"minimum_trade_amount": 5, "targeted_trade_amount": 8, "max_open_trades": 3, "stake_amount": "unlimited"}
    outcome = analyse(analyses, "lookahead", strategy, **own)
    assert outcome.error == {}
    (row,) = outcome.result["rows"]

    file = analyses.folder / "found.csv"
    arguments = ["--minimum-trade-amount", "5", "--targeted-trade-amount", "8", "--lookahead-analysis-exportfilename", str(file)]
    plain(analyses, "lookahead-analysis", strategy, *arguments, **own)
    (expected,) = csv.DictReader(file.read_text().splitlines())
    assert {key: str(value) for key, value in row.items()} | {"biased_indicators": ",".join(row["biased_indicators"])} == expected
    assert row["has_bias"] is has_bias
    assert row["total_signals"] == 8
    assert ("tomorrow" in row["biased_indicators"]) is has_bias


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "looks_ahead"), [("Biased", ["tomorrow"]), ("EmaCross", [])])
def test_same_recursive_findings_as_plain_freqtrade(analyses: Backtests, strategy: str, looks_ahead: list[str]) -> None:
    outcome = analyse(analyses, "recursive", strategy, startup_candle=[120, 299])
    assert outcome.error == {}
    result = outcome.result

    output = plain(analyses, "recursive-analysis", strategy, "--startup-candle", "120", "299")
    table = [[cell.strip() for cell in line.strip("│┃ ").split("│")] for line in output.splitlines() if line.lstrip().startswith("│")]
    counts = [str(count["startup_candle"]) for count in result["startup_candles"]]
    rows = [[row["indicator"], *(f"{row['variance'][count]:.3%}" if count in row["variance"] else "-" for count in counts)] for row in result["rows"]]
    assert rows == table
    assert len(rows) >= 1
    assert result["lookahead_indicators"] == re.findall(r"found lookahead in indicator (\w+)", output) == looks_ahead
    assert [count["candles"] >= count["startup_candle"] for count in result["startup_candles"]] == [True] * 3
    assert result["pair"] == "BTC/USDT"


def plain(analyses: Backtests, command: str, strategy: str, *arguments: str, **changes: Any) -> str:
    """The output of freqtrade's own command."""
    assert analyses.markets is not None
    user_data = run_plain_freqtrade(analyses, command, strategy, config_of(**changes), analyses.markets / "binance-spot.json", *arguments)
    return (user_data / "output.txt").read_text()


def test_progress_counts_trades_and_startup_candles(analyses: Backtests) -> None:
    told = analyse(analyses, "lookahead", "EmaCross", targeted_trade_amount=10).progress
    assert [item[0] for item in told[1:]] == list(range(11))
    assert tuple(told[-1]) == (10, 10, "trades 10/10")
    told = analyse(analyses, "recursive", "EmaCross", startup_candle=[99]).progress
    assert tuple(told[-1]) == (2, 2, "Startup candle 99")


@pytest.mark.parametrize(("kind", "at"), [("lookahead", 2), ("recursive", 1)])
def test_cancelled_analysis_stops(analyses: Backtests, kind: str, at: int) -> None:
    outcome = analyse(analyses, kind, "EmaCross", cancel_at=at)
    assert outcome.error["type"] == "JobCancelled"
    assert outcome.progress[-1][0] == at


def test_manifest_and_log_are_artifacts(analyses: Backtests) -> None:
    outcome = analyse(analyses, "recursive", "EmaCross", startup_candle=[99])
    assert [item["name"] for item in outcome.result["artifacts"]] == ["manifest.json", "freqtrade.log"]
    assert set(outcome.result["manifest"]["code"]) == {"ema_cross.py"}
    assert outcome.result["config"]["used"][-1] == "startup_candle"


def test_too_few_trades_are_said_with_what_helps(analyses: Backtests) -> None:
    outcome = analyse(analyses, "lookahead", "EmaCross", timerange="20260105-20260106")
    assert outcome.error == {}
    assert outcome.result["rows"][0]["has_bias"] is None
    assert "minimum_trade_amount is 10; a longer timerange has more" in outcome.result["reason"]


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("lookahead", {"timerange": None}, "timerange: needed"),
        ("lookahead", {"minimum_trade_amount": "S3CRET"}, "minimum_trade_amount: must be a whole number from 1"),
        ("lookahead", {"minimum_trade_amount": 30}, "Targeted trade amount can't be smaller than minimum trade amount"),
        ("lookahead", {"lookahead_allow_limit_orders": "yes"}, "lookahead_allow_limit_orders: must be boolean"),
        ("lookahead", {"lookahead_analysis_exportfilename": "/S3CRET"}, "lookahead_analysis_exportfilename: a path"),
        ("lookahead", {"timerange": "20200101-20200102"}, "timerange: no candles in it"),
        ("recursive", {"startup_candle": 99}, "startup_candle: must be a list of whole numbers from 1"),
        ("recursive", {"startup_candle": ["S3CRET"]}, "startup_candle: must be a list"),
        ("recursive", {"timerange": "20260105-"}, "timerange: a recursive analysis looks at its first and its last candle"),
        ("recursive", {"exchange": {"name": "binance", "pair_whitelist": ["SOL/USDT", "DOGE/USDT"]}}, "DOGE/USDT 5m: no file"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_value_names_its_key(analyses: Backtests, kind: str, change: dict[str, Any], message: str) -> None:
    analyses.markets = None  # markets of an exchange leave out pairs that it doesn't have
    outcome = analyse(analyses, kind, "EmaCross", **change)
    assert outcome.error["type"] in {"BadRequest", "DataMissing"}, outcome.error
    assert message in outcome.error["message"]
    assert "S3CRET" not in str(outcome.error)


def test_a_stake_without_a_limit_is_taken_as_freqtrades_own_command_takes_it(analyses: Backtests) -> None:
    outcome = analyse(analyses, "lookahead", "EmaCross", timerange="20260105-20260106", max_open_trades=3, stake_amount="unlimited")
    assert outcome.error == {}
    assert outcome.result["rows"][0]["strategy"] == "EmaCross"
    assert "freqtrade's lookahead analysis sets it" in outcome.result["config"]["ignored"]["max_open_trades"]


def test_unknown_strategy_lists_those_that_exist(analyses: Backtests) -> None:
    assert "those that exist: Biased, EmaCross" in analyse(analyses, "lookahead", "Nobody").error["message"]


def test_strategy_that_raises_is_told_with_its_own_error(analyses: Backtests) -> None:
    (analyses.strategies / "biased.py").write_text(BIASED.replace("        return dataframe", "        return 1 / 0", 1))
    for kind in ("lookahead", "recursive"):
        outcome = analyse(analyses, kind, "Biased")
        assert outcome.error["type"] == "ZeroDivisionError"
        assert "biased.py" in outcome.error["traceback"]
