"""What a caller sees of each mistake: which key, why, and what would be right; never a refused value."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.equality.conftest import ROOT, Backtests, call_config

RAISES = """
from freqtrade.strategy import IStrategy
{before}
class Raises(IStrategy):
    timeframe = "5m"
    minimal_roi = {{"0": 0.01}}
    stoploss = -0.1
    use_custom_stoploss = True

    def populate_indicators(self, dataframe, metadata):
        {indicators}
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe["enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe

    def bot_start(self, **kwargs):
        {start}
"""


def refused(outcome: Any) -> str:
    assert outcome.error.get("type") == "BadRequest", outcome.error
    return str(outcome.error["message"])


def test_unknown_strategy_lists_those_that_exist(backtests: Backtests) -> None:
    assert "those that exist: BollingerBreakout, EmaCross, RsiReversion" in refused(backtests.run("EmaKross", call_config()))


@pytest.mark.parametrize("name", ["../EmaCross", "EmaCross:Y2xhc3M=", "ema_cross.py", "a b", "", "EmaCross\n"])
def test_strategy_name_with_a_path_or_code(backtests: Backtests, name: str) -> None:
    message = refused(backtests.run(name, call_config()))
    assert "strategy_name: " in message
    assert "Y2xhc3M" not in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timerange": "last week"}, "timerange: must be a timerange such as 20260101-20260301"),
        ({"timerange": "20260110-20260101"}, "timerange: "),
        ({"timerange": "20261399-"}, "timerange: "),
        ({"timerange": 20260101}, "timerange: must be a timerange"),
        ({"timeframe": "../5m"}, "timeframe: must be a timeframe such as 5m, 1h or 1d"),
        ({"timeframe": "7m"}, "Invalid timeframe"),
        ({"timeframe_detail": "1h"}, "Detail timeframe must be smaller"),
        ({"stake_amount": [100]}, "stake_amount: must be number or string"),
        ({"max_open_trades": "three"}, "max_open_trades: must be integer or number"),
        ({"fee": 0.5}, "fee: must be at most 0.1"),
        ({"stoploss": 0.1}, "stoploss: must be below 0"),
        ({"enable_protections": "yes"}, "enable_protections: must be boolean"),
        ({"exchange": {"name": "binance", "pair_whitelist": "BTC/USDT"}}, "exchange.pair_whitelist: must be array"),
        ({"exchange": {"pair_whitelist": ["BTC/USDT"]}}, "exchange: needs name"),
        ({"exchange": {"name": "binance", "pair_whitelist": []}}, "StaticPairList requires pair_whitelist"),
        ({"exchange": {"name": "no_such_exchange", "pair_whitelist": ["BTC/USDT"]}}, "no_such_exchange"),
        ({"stake_currency": "EUR"}, "EUR is not available as stake"),
        ({"stake_amount": 5000}, "Starting balance"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_value_names_its_key(backtests: Backtests, synthetic_candles: Path, change: dict[str, Any], message: str) -> None:
    assert message in refused(backtests.run("EmaCross", call_config(**change)))


def test_missing_key_is_named(backtests: Backtests) -> None:
    config = call_config()
    del config["stake_amount"]
    assert "stake_amount: needed" in refused(backtests.run("EmaCross", config))


def test_refused_key_is_named_with_its_reason_and_without_its_value(backtests: Backtests) -> None:
    config = call_config(
        strategy_path="/S3CRET", db_url="sqlite:///S3CRET", pairlists=[{"method": "RemotePairList", "pairlist_url": "file:///S3CRET"}]
    )
    config["exchange"]["secret"] = "S3CRET"

    outcome = backtests.run("EmaCross", config)

    message = refused(outcome)
    for line in ("exchange.secret: a secret", "strategy_path: a path", "db_url: the URL of a database", "pairlists.0.method: RemotePairList"):
        assert line in message
    assert "S3CRET" not in str(outcome.error)


def test_pair_without_candles_names_the_file_looked_for(backtests: Backtests) -> None:
    outcome = backtests.run("EmaCross", call_config(exchange={"name": "binance", "pair_whitelist": ["BTC/USDT", "DOGE/USDT"]}))
    assert outcome.error["type"] == "DataMissing"
    assert f"DOGE/USDT 5m: no file {backtests.datadir / 'DOGE_USDT-5m.feather'}" in outcome.error["message"]
    assert "BTC/USDT" not in outcome.error["message"]


def test_missing_detail_and_informative_candles_are_found_before_the_run(backtests: Backtests) -> None:
    outcome = backtests.run("EmaCross", call_config(timeframe_detail="3m"))
    assert f"BTC/USDT 3m: no file {backtests.datadir / 'BTC_USDT-3m.feather'}" in outcome.error["message"]

    only_eth = backtests.folder / "candles"
    only_eth.mkdir()
    for name in ("ETH_USDT-5m.feather", "ETH_USDT-1h.feather"):
        (only_eth / name).symlink_to(backtests.datadir / name)
    backtests.datadir = only_eth
    outcome = backtests.run("BollingerBreakout", call_config(exchange={"name": "binance", "pair_whitelist": ["ETH/USDT"]}))
    assert outcome.error["type"] == "DataMissing"
    assert f"BTC/USDT 1h: no file {only_eth / 'BTC_USDT-1h.feather'}" in outcome.error["message"]


def test_no_candles_in_the_timerange_says_what_there_is(backtests: Backtests) -> None:
    outcome = backtests.run("EmaCross", call_config(timerange="20200101-20200201"))
    assert outcome.error["type"] == "DataMissing"
    assert "BTC_USDT-5m.feather holds 2026-01-01 00:00 to 2026-01-20 23:55" in outcome.error["message"]


def test_missing_folder_names_its_variable(backtests: Backtests) -> None:
    backtests.datadir = backtests.folder / "nowhere"
    outcome = backtests.run("EmaCross", call_config())
    assert outcome.error["message"] == f"FREQTRADE_DATADIR: no such folder: {backtests.folder / 'nowhere'}"
    assert not backtests.datadir.exists()


@pytest.mark.parametrize(
    ("place", "code", "error"),
    [
        ("before", "import no_such_helper", "ModuleNotFoundError"),
        ("before", "1 / 0", "ZeroDivisionError"),
        ("indicators", "return dataframe['no such column']", "KeyError"),
        ("start", "raise RuntimeError('on purpose')", "RuntimeError"),
    ],
)
def test_error_of_a_strategy_arrives_with_its_own_type_and_traceback(backtests: Backtests, place: str, code: str, error: str) -> None:
    backtests.strategies = backtests.folder / "strategies"
    backtests.strategies.mkdir()
    parts = {"before": "", "indicators": "pass", "start": "pass"} | {place: code}
    (backtests.strategies / "raises.py").write_text(RAISES.format(**parts))

    outcome = backtests.run("Raises", call_config())

    assert outcome.error["type"] == error
    assert "raises.py" in outcome.error["traceback"]
    assert code in outcome.error["traceback"]
    assert f"freqtrade's log: {(outcome.stored / 'freqtrade.log').as_uri()}" in outcome.error["traceback"]
    assert (outcome.stored / "freqtrade.log").is_file()


def test_strategy_that_asks_the_exchange_is_told_that_there_is_no_network(backtests: Backtests) -> None:
    backtests.strategies = backtests.folder / "strategies"
    backtests.strategies.mkdir()
    asks = RAISES.format(before="", indicators="self.dp._exchange._api.fetch_ticker('BTC/USDT')", start="pass")
    (backtests.strategies / "raises.py").write_text(asks)

    outcome = backtests.run("Raises", call_config())

    assert outcome.error["type"] == "NetworkRefused"


def test_short_strategy_on_a_spot_market(backtests: Backtests) -> None:
    backtests.strategies = backtests.folder / "strategies"
    backtests.strategies.mkdir()
    (backtests.strategies / "raises.py").write_text(
        RAISES.format(before="", indicators="pass", start="pass").replace("timeframe", "can_short = True\n    timeframe")
    )
    assert "Short strategies cannot run in spot markets" in refused(backtests.run("Raises", call_config()))


def test_mistake_in_the_base_config_is_told_without_its_text(backtests: Backtests) -> None:
    backtests.base_config = backtests.folder / "base.json"
    backtests.base_config.write_text('{"telegram": {"token": "S3CRET" "chat_id": 1}}')
    outcome = backtests.run("EmaCross", call_config())
    assert outcome.error["type"] == "SettingsError"
    assert "FREQTRADE_CONFIG" in outcome.error["message"]
    assert "S3CRET" not in outcome.error["traceback"]


def test_config_of_the_environment_is_not_a_way_around_the_policy(backtests: Backtests, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """
import json, os, sys
from pathlib import Path
from workers.artifacts import ArtifactStore
from workers.backtesting import run_backtest
from workers.backtesting.params import BacktestParams
from workers.job import Job
job = Job(id="job", type="backtest.run", directory=Path(sys.argv[1]), artifacts=ArtifactStore(sys.argv[1] + "/artifacts"))
print("FEE", run_backtest(job, BacktestParams(strategy_name="EmaCross", config=json.loads(sys.argv[2])))["manifest"]["config"])
print("ENV", [name for name in os.environ if name.startswith("FREQTRADE__")])
"""
    import json

    config = call_config(timerange="20260105-20260106")
    variables = {"FREQTRADE_STRATEGIES": str(backtests.strategies), "FREQTRADE_DATADIR": str(backtests.datadir), "PYTHONPATH": str(ROOT)}
    variables |= {"FREQTRADE__FEE": "0.05", "FREQTRADE__STRATEGY_PATH": "/etc"}
    command = [sys.executable, "-c", script, str(backtests.folder / "with"), json.dumps(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ) | variables)
    told = [line for line in done.stdout.splitlines() if line.startswith(("FEE", "ENV"))]
    assert told == [f"FEE {backtests.run('EmaCross', config).result['manifest']['config']}", "ENV []"]


def test_missing_package_says_what_to_install(tmp_path: Path) -> None:
    # A worker without freqtrade: an import of it fails as if it weren't installed.
    script = """
import sys
from pathlib import Path
sys.modules["freqtrade"] = None
from workers.artifacts import ArtifactStore
from workers.backtesting import run_backtest
from workers.backtesting.params import BacktestParams
from workers.job import Job
job = Job(id="job", type="backtest.run", directory=Path(sys.argv[1]), artifacts=ArtifactStore(sys.argv[1]))
try:
    run_backtest(job, BacktestParams(strategy_name="EmaCross"))
except Exception as exc:
    print(type(exc).__name__, exc)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ) | {"PYTHONPATH": str(ROOT)})
    assert done.stdout.startswith("MissingDependency ")
    assert "pip install 'celery-streams-bridge[backtesting]'" in done.stdout
