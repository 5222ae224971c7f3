"""A model for a running bot: a real dry-run bot on the exchange stand-in takes the exported folder for its own, and trains nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from examples.exchange_stand_in import ExchangeStandIn
from tests.equality.conftest import ROOT, Backtests
from tests.equality.freqai import FREQAI_STRATEGIES, PAIRS, freqai_config, trained
from tests.waiting import wait_until

DAY_S = 86_400
PREDICTED = "prediction data points due to NaNs"
"""What freqtrade logs of each pair when it predicts: the first candles have no features yet."""
TRAINING = "Starting training"


def export(jobs: Backtests, model: str, models: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "workers", "freqai", "export", "--model", model, "--to", str(models), *more]
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT), "FREQTRADE_USER_DATA": str(jobs.folder / "user_data")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


def test_exported_folder_has_the_newest_model_of_each_pair(backtests: Backtests) -> None:
    backtests.strategies = FREQAI_STRATEGIES
    training = trained(backtests, freqai_config())
    models = backtests.folder / "bot" / "models"

    done = export(backtests, training.result["model_artifact"]["uri"], models, "--seen-as", "/freqtrade/user_data/models")

    assert done.returncode == 0, done.stderr
    assert "BTC/USDT learned from candles until 2026-01-08 00:00 UTC" in done.stdout
    folder = models / "example"
    assert {path.name for path in folder.iterdir()} == {"pair_dictionary.json", "sub-train-BTC_1767830400", "sub-train-ETH_1767830400"}
    entry = json.loads((folder / "pair_dictionary.json").read_text())["ETH/USDT"]
    assert (entry["model_filename"], entry["trained_timestamp"]) == ("cb_eth_1767830400", 1767830400)
    assert entry["data_path"] == "/freqtrade/user_data/models/example/sub-train-ETH_1767830400"
    assert [path.name for path in models.iterdir()] == ["example"]

    again = export(backtests, training.result["model_artifact"]["uri"], models)
    assert again.returncode == 2
    assert f"error: {folder} is there already" in again.stderr

    archive = training.stored / "example.freqai.zip"
    archive.write_bytes(archive.read_bytes()[:-100])
    touched = export(backtests, str(archive), backtests.folder / "other")
    assert "error: model artifact: no zip that can be read" in touched.stderr
    assert not list((backtests.folder / "other").iterdir())
    assert "error: --model: no file" in export(backtests, "nowhere.zip", models).stderr


@contextmanager
def bot(folder: Path, config: dict[str, Any]) -> Iterator[Path]:
    """`freqtrade trade` without real money; yields its log."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    log = folder / "bot.log"
    command = [sys.executable, "-m", "freqtrade", "trade", "--dry-run", "--config", str(folder / "config.json"), "--userdir", str(folder)]
    command += ["--strategy", "FreqaiExample", "--strategy-path", str(FREQAI_STRATEGIES), "--freqaimodel", "LightGBMRegressor"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("FREQTRADE")}
    with log.open("w") as output:
        process = subprocess.Popen([*command, "--db-url", "sqlite://"], stdout=output, stderr=subprocess.STDOUT, env=environment, cwd=folder)
        try:
            yield log
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            finally:
                process.kill()
                process.wait()


def bot_config(exchange: ExchangeStandIn, freqai: dict[str, Any]) -> dict[str, Any]:
    pricing = {"price_side": "same", "use_order_book": False, "order_book_top": 1}
    return {
        "dry_run": True,
        "dry_run_wallet": 1000,
        "initial_state": "running",
        "stake_currency": "USDT",
        "stake_amount": 100,
        "max_open_trades": 2,
        "entry_pricing": pricing,
        "exit_pricing": pricing,
        "pairlists": [{"method": "StaticPairList"}],
        "exchange": exchange.config() | {"pair_whitelist": PAIRS},
        "internals": {"process_throttle_secs": 1},
        "freqai": freqai,
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_dry_run_bot_loads_it_without_training(backtests: Backtests) -> None:
    backtests.strategies = FREQAI_STRATEGIES
    now = int(time.time()) // 300 * 300
    with ExchangeStandIn() as exchange:
        backtests.datadir = backtests.folder / "candles"
        download(exchange, backtests.datadir, now)
        # Its only window learns from the three days until an hour ago.
        config = freqai_config(timerange=f"{now - 3600}-{now}", backtest_period_days=1, live_retrain_hours=24)
        training = trained(backtests, config)
        bots = backtests.folder / "bots"
        done = export(backtests, training.result["model_artifact"]["uri"], bots / "with" / "models")
        assert done.returncode == 0, done.stderr

        with bot(bots / "with", bot_config(exchange, config["freqai"])) as log:
            wait_until(lambda: log.read_text().count(PREDICTED) >= len(PAIRS), timeout=60, message="the bot has predicted each pair")
            # It looks for something to train each second.
            time.sleep(5)
            text = log.read_text()
        assert TRAINING not in text
        assert "No model ready" not in text
        assert "Traceback" not in text
        assert predicted_by(bots / "with") == dict.fromkeys(PAIRS, True)

        # The same bot with an older model trains: `live_retrain_hours` is what decides.
        done = export(backtests, training.result["model_artifact"]["uri"], bots / "old" / "models")
        with bot(bots / "old", bot_config(exchange, config["freqai"] | {"live_retrain_hours": 0.5})) as log:
            wait_until(lambda: TRAINING in log.read_text(), timeout=60, message="the bot trains a model that is too old")


SHOW = """
import json, pathlib, pickle, sys
stored = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
print(json.dumps({pair: bool(frame["&-move"].std() > 0) for pair, frame in stored.items()}))
"""


def predicted_by(user_data: Path) -> dict[str, bool]:
    """Of which pairs the bot kept predictions when it ended, and whether they are more than zeros."""
    command = [sys.executable, "-c", SHOW, str(user_data / "models" / "example" / "historic_predictions.pkl")]
    shown: dict[str, bool] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return shown


def download(exchange: ExchangeStandIn, datadir: Path, now: int) -> None:
    folder = datadir.parent / "download"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"exchange": exchange.config() | {"pair_whitelist": PAIRS}}))
    command = [sys.executable, "-m", "freqtrade", "download-data", "--config", str(folder / "config.json"), "--userdir", str(folder)]
    command += ["--datadir", str(datadir), "--timeframes", "5m", "1h", "--timerange", f"{now - 8 * DAY_S}-", "--pairs", *PAIRS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
