"""`reuse=True` gives a stored result only while every input of it is what it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.equality.conftest import STRATEGIES, Backtests, Outcome, call_config, market, write_markets

CONFIG = call_config(timerange="20260105-20260106", exchange={"name": "binance", "pair_whitelist": ["BTC/USDT"]})
HELPER = "from pathlib import Path\nSPEED = int((Path(__file__).parent / 'speed.txt').read_text())\n"


def written(file: Path, content: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


@pytest.fixture
def own(backtests: Backtests, monkeypatch: pytest.MonkeyPatch) -> Backtests:
    """With folders of its own, and a strategy that imports a helper, which reads a file."""
    datadir = backtests.folder / "candles"
    datadir.mkdir()
    for file in backtests.datadir.glob("BTC_USDT-*.feather"):
        shutil.copy(file, datadir)
    backtests.strategies, backtests.datadir = backtests.folder / "strategies", datadir
    backtests.markets = backtests.folder / "markets"
    backtests.markets.mkdir()
    text = (STRATEGIES / "ema_cross.py").read_text()
    written(
        backtests.strategies / "ema_cross.py", text.replace("import talib", "from lib.numbers import SPEED\nimport talib").replace("=12", "=SPEED")
    )
    written(backtests.strategies / "lib" / "numbers.py", HELPER)
    written(backtests.strategies / "lib" / "speed.txt", "12")
    return backtests


def run(backtests: Backtests, **config: Any) -> Outcome:
    outcome = backtests.run("EmaCross", CONFIG | config, reuse=True)
    assert outcome.error == {}
    return outcome


def test_the_same_backtest_gives_the_stored_result_with_files_of_its_own(own: Backtests) -> None:
    first = run(own)
    second = own.run("EmaCross", CONFIG, reuse=True)
    assert "reused" not in first.result
    assert second.result["reused"]["task_id"] == first.stored.name
    costs = {"run_seconds", "cpu_seconds", "peak_rss", "queue_wait", "reused", "artifacts", "report"}
    assert {key: value for key, value in second.result.items() if key not in costs} == {
        key: first.result[key] for key in first.result if key not in costs
    }
    assert second.result["report"] == (second.stored / "report.html").as_uri()
    shutil.rmtree(first.stored)
    for item in second.result["artifacts"]:
        content = Path(urlsplit(item["uri"]).path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (item["size"], item["sha256"])
        assert item["uri"].startswith(second.stored.as_uri())
    written(own.strategies / "lib" / "speed.txt", "3")
    third = run(own)
    assert "reused" not in third.result
    assert third.result["profit_total"] != first.result["profit_total"]


@pytest.mark.slow
def test_whatever_changes_makes_it_run(own: Backtests) -> None:
    strategies, datadir = own.strategies, own.datadir
    candles = datadir / "BTC_USDT-5m.feather"
    usdt = market("BTC/USDT", price=0.01, amount=0.00001, smallest_cost=5.0, fee=0.001)
    changes: dict[str, Callable[[], Any]] = {
        "nothing yet": lambda: None,
        "the strategy": lambda: written(strategies / "ema_cross.py", (strategies / "ema_cross.py").read_text() + "\n# another\n"),
        "a module that it imports": lambda: written(strategies / "lib" / "numbers.py", HELPER + "# another\n"),
        "a file that its module opens": lambda: written(strategies / "lib" / "speed.txt", "13"),
        "its parameters appear": lambda: written(strategies / "ema_cross.json", json.dumps({"strategy_name": "EmaCross", "params": {}})),
        "its parameters": lambda: written(strategies / "ema_cross.json", json.dumps({"strategy_name": "EmaCross", "params": {"buy": {}}})),
        "its parameters go": (strategies / "ema_cross.json").unlink,
        "a module that might be imported first": lambda: written(strategies / "talib_extra.py", ""),
        "candles of another pair appear": lambda: shutil.copy(candles, datadir / "ETH_USDT-5m.feather"),
        "candles": lambda: written(candles, _another(candles)),
        "saved markets appear": lambda: write_markets(own.markets or datadir, usdt),
        "saved markets": lambda: write_markets(own.markets or datadir, usdt | {"taker": 0.002}),
    }
    for what, change in changes.items():
        change()
        ran = run(own)
        assert "reused" not in ran.result, what
        assert own.run("EmaCross", CONFIG, reuse=True).result["reused"]["task_id"] == ran.stored.name, what


def _another(candles: Path) -> bytes:
    import pandas as pd

    frame = pd.read_feather(candles)
    frame.loc[frame.index[-1], "close"] *= 1.0001
    target = candles.with_suffix(".aside")
    frame.to_feather(target)
    content = target.read_bytes()
    target.unlink()
    return content


def test_another_config_is_another_backtest(own: Backtests) -> None:
    run(own)
    own.base_config = written(own.folder / "base.json", json.dumps({"fee": 0.003}))
    assert "reused" not in own.run("EmaCross", CONFIG, reuse=True).result


def test_what_changes_while_it_runs_is_not_kept(own: Backtests) -> None:
    helper = own.strategies / "lib" / "numbers.py"
    written(helper, HELPER + f"import os\nos.utime({str(helper)!r})\n")
    own.run("EmaCross", CONFIG)
    assert not (own.folder / "artifacts" / "reuse").exists()
    assert os.path.getmtime(helper) > time.time() - 60


def test_another_folder_of_candles_is_another_backtest(own: Backtests) -> None:
    run(own)
    elsewhere = own.folder / "elsewhere"
    shutil.copytree(own.datadir, elsewhere)
    own.datadir = elsewhere
    assert "reused" not in run(own).result


def test_a_reused_result_has_the_verdicts_of_its_own_call(own: Backtests) -> None:
    run(own)
    again = run(own, bot_name="another").result
    assert "reused" in again
    assert again["config"]["ignored"] == {"bot_name": "only a running bot uses it"}
