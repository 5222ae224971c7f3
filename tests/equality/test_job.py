"""What a backtest leaves: files that freqtrade opens, a log, a manifest, progress; and how it stops."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.equality.conftest import ROOT, STRATEGIES, Backtests, Outcome, call_config


@pytest.fixture
def finished(backtests: Backtests) -> Outcome:
    outcome = backtests.run("EmaCross", call_config(timerange="20260105-20260110", backtest_breakdown=["day"], telegram={"token": "x"}))
    assert outcome.error == {}
    return outcome


def test_freqtrade_shows_the_stored_results(finished: Outcome, tmp_path: Path) -> None:
    user_data = tmp_path / "elsewhere"
    user_data.mkdir()
    command = [sys.executable, "-m", "freqtrade", "backtesting-show", "--userdir", str(user_data)]
    done = subprocess.run(
        [*command, "--backtest-directory", str(finished.stored / "backtest_results")],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ) | {"COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    assert "Result for strategy EmaCross" in done.stdout
    assert f"{finished.result['total_trades']}" in done.stdout
    assert "BTC/USDT" in done.stdout


def test_artifacts_are_claim_checks_of_what_is_stored(finished: Outcome) -> None:
    artifacts = {item["name"]: item for item in finished.result["artifacts"]}
    (archive,) = [name for name in artifacts if name.endswith(".zip")]
    assert set(artifacts) == {
        "backtest_results/.last_result.json",
        archive,
        archive.replace(".zip", ".meta.json"),
        "manifest.json",
        "freqtrade.log",
        "report.html",
        "run.json",
    }
    for name, item in artifacts.items():
        stored = finished.stored / name
        assert item["uri"] == stored.as_uri()
        assert item["size"] == stored.stat().st_size
        assert item["sha256"] == hashlib.sha256(stored.read_bytes()).hexdigest()


def test_result_is_plain_json_and_says_what_it_used_and_cost(finished: Outcome) -> None:
    result = finished.result
    assert result["config"]["ignored"] == {"telegram": "a backtest sends no messages"}
    assert "exchange.pair_whitelist" in result["config"]["used"]
    assert result["backtest_start"] == "2026-01-05T00:00:00+00:00"
    assert {row["pair"] for row in result["pairs"]} == {"BTC/USDT", "ETH/USDT", "SOL/USDT"}
    assert "trades" not in result
    assert result["cpu_seconds"] > 0
    assert result["peak_rss"] > 50 << 20
    assert result["queue_wait"] is None
    assert len(json.dumps(result)) < 16 << 10


def test_manifest_hashes_what_was_read(backtests: Backtests) -> None:
    backtests.strategies = backtests.folder / "strategies"
    (backtests.strategies / "lib").mkdir(parents=True)
    text = (STRATEGIES / "ema_cross.py").read_text()
    (backtests.strategies / "ema_cross.py").write_text(
        text.replace("import talib", "from lib.numbers import SPEED\nimport talib").replace("=12", "=SPEED")
    )
    (backtests.strategies / "lib" / "numbers.py").write_text("SPEED = 12\n")
    (backtests.strategies / "unused.py").write_text("1 / 0\n")

    outcome = backtests.run("EmaCross", call_config(timeframe_detail="1m", timerange="20260105-20260107"))

    manifest = json.loads((outcome.stored / "manifest.json").read_text())
    assert manifest == outcome.result["manifest"]
    assert set(manifest["code"]) == {"ema_cross.py", "lib/numbers.py"}
    assert manifest["code"]["lib/numbers.py"] == hashlib.sha256(b"SPEED = 12\n").hexdigest()
    assert set(manifest["candles"]["files"]) == {f"{coin}_USDT-{timeframe}.feather" for coin in ("BTC", "ETH", "SOL") for timeframe in ("1m", "5m")}
    assert manifest["markets"]["synthetic"] is True
    assert manifest["versions"]["freqtrade"]
    assert not list(backtests.strategies.rglob("__pycache__")), "the strategies folder was written to"


def test_same_inputs_give_the_same_manifest_and_another_fee_does_not(backtests: Backtests) -> None:
    first, second, other = (
        backtests.run("EmaCross", call_config(timerange="20260105-20260106", fee=fee)).result["manifest"] for fee in (0.001, 0.001, 0.002)
    )
    assert first == second
    assert first["config"] != other["config"]
    assert first["candles"] == other["candles"]


def test_progress_moves_forward_through_the_stages(finished: Outcome) -> None:
    percents = [current for current, _, _ in finished.progress]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)
    stages = list(dict.fromkeys(message.partition(" ")[0] for _, _, message in finished.progress))
    assert stages == ["load", "indicators", "signals", "backtest", "stats"]


def test_log_is_whole_from_the_first_line_of_the_config_on(finished: Outcome) -> None:
    log = (finished.stored / "freqtrade.log").read_text()
    assert "Validating configuration" in log
    assert "Using resolved strategy EmaCross" in log
    assert "Running backtesting for Strategy EmaCross" in log
    assert (finished.directory / "freqtrade.log").read_text() == log


@pytest.mark.parametrize("percent", [0, 5, 30], ids=["while loading", "before indicators", "in the simulation"])
def test_cancelled_job_stops_where_it_is(backtests: Backtests, percent: int) -> None:
    outcome = backtests.run("EmaCross", call_config(), cancel_at=percent)
    assert outcome.error["type"] == "JobCancelled"
    assert outcome.error["message"] == "revoked"
    assert max(current for current, _, _ in outcome.progress) < 60


@pytest.mark.parametrize("percent", [5, 30], ids=["before indicators", "in the simulation"])
def test_a_soft_time_limit_stops_it_where_it_is(backtests: Backtests, percent: int) -> None:
    outcome = backtests.run("EmaCross", call_config(), soft_limit_at=percent)
    assert outcome.error["type"] == "SoftTimeLimit"
    assert max(current for current, _, _ in outcome.progress) < 60


def test_second_run_in_the_same_folder_leaves_one_result(backtests: Backtests) -> None:
    first = backtests.run("EmaCross", call_config(timerange="20260105-20260106"), cancel_at=95)
    backtests.count -= 1
    again = backtests.run("EmaCross", call_config(timerange="20260105-20260106"))
    assert first.directory == again.directory
    assert again.error == {}
    assert len([item for item in again.result["artifacts"] if item["name"].endswith(".zip")]) == 1


def test_folder_of_a_job_is_its_owners(finished: Outcome) -> None:
    assert finished.directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("service", ["backtesting", "freqai", "hyperopt"])
def test_importing_the_handlers_imports_no_freqtrade(service: str) -> None:
    script = f"import sys, workers.{service}, workers.{service}.params; print([m for m in sys.modules if m.split('.')[0] in {{'freqtrade', 'pandas', 'redis', 'celery'}}])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=dict(os.environ) | {"PYTHONPATH": str(ROOT)}
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("service", ["backtesting", "freqai", "hyperopt"])
def test_preloading_leaves_one_thread_since_the_server_forks(service: str) -> None:
    script = (
        f"import importlib, os, workers.{service} as b; [importlib.import_module(m) for m in b.PRELOAD]; print(len(os.listdir('/proc/self/task')))"
    )
    environment = {key: value for key, value in os.environ.items() if key not in {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "JE_ARROW_MALLOC_CONF"}}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment | {"PYTHONPATH": str(ROOT)})
    assert done.stdout.strip() == "1"
