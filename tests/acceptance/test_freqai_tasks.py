"""A training and a backtest with its model as Celery tasks, with every process real: the worker is killed between two windows, and a training is revoked."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery.exceptions import TaskRevokedError

from streams.embedded import EmbeddedServer
from tasks.local_stack.process import REPOSITORY
from tests.acceptance.stack import Stack
from tests.equality.freqai import COUNTED, freqai_config
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    models = folder / "freqaimodels"
    models.mkdir()
    (models / "counted.py").write_text(COUNTED.format(base="LightGBMRegressor", before="import time; time.sleep(0.5)"))
    command = [sys.executable, "-m", "examples.candles", str(folder / "candles"), "--days", "10", "--timeframes", "5m", "1h"]
    subprocess.run([*command, "--pairs", "BTC/USDT", "ETH/USDT"], check=True, capture_output=True, cwd=REPOSITORY)
    strategies = str(REPOSITORY / "examples" / "strategies")
    environment = {"FREQTRADE_USER_DATA": str(folder), "FREQTRADE_STRATEGIES": strategies, "FREQTRADE_DATADIR": str(folder / "candles")}
    with Stack(folder, own_server, None, **environment) as stack:
        stack.app = "tasks"
        stack.celery()
        stack.bridge()
        for service in ("freqai", "backtesting"):
            stack._process(service, ("-m", "workers", service), ready=f"{service}: 1 at a time")
        stack.start()
        yield stack


def fits(stack: Stack) -> list[str]:
    file: Path = stack.directory / "freqaimodels" / "fits.txt"
    return file.read_text().split() if file.exists() else []


def test_a_worker_that_is_killed_between_windows_and_a_backtest_with_the_model(stack: Stack) -> None:
    # The example lies in a folder below the others.
    config = freqai_config() | {"recursive_strategy_search": True}
    training = stack.caller.send_task("tasks.freqai.train_freqai_model_task", ("FreqaiExample", "Counted", config))
    wait_until(lambda: len(fits(stack)) >= 3, timeout=60, message="the third of four windows to be trained")
    worker = stack.processes["freqai"]
    worker.crash()
    stack.start(worker)

    result = stack.get(training, timeout=90)

    names = fits(stack)
    assert (result["windows_kept"], result["windows_trained"]) == (2, 2)
    assert len(names) == 5
    assert names[2] == names[3], "only the window that was under way was begun again"

    config["freqai"] = {"model": result["model_artifact"]}
    backtest = stack.get(stack.caller.send_task("tasks.backtesting.run_backtest_task", ("FreqaiExample", config)), timeout=60)
    assert backtest["trained_model"]["predicted_windows"] == 4
    assert backtest["trained_model"]["task_id"] == training.id
    assert backtest["total_trades"] > 0
    assert fits(stack) == names


def test_a_revoked_training_ends_within_a_second(stack: Stack) -> None:
    config = freqai_config(model_training_parameters={"n_estimators": 100_000, "verbosity": -1}) | {"recursive_strategy_search": True}
    training = stack.caller.send_task("tasks.freqai.train_freqai_model_task", ("FreqaiExample", "LightGBMRegressor", config))
    wait_until(lambda: training.state == "PROGRESS" and "iteration" in training.info["message"], timeout=60, message="iterations to be told")
    worker = stack.processes["freqai"]
    (child,) = [process for process in worker.family() if process.ppid() != worker.pid and process.pid != worker.pid]

    training.revoke(terminate=True)
    revoked = time.monotonic()
    wait_until(lambda: not child.is_running(), timeout=20, message="the job's process to be gone")

    assert time.monotonic() - revoked < 2, "one second for the way to it, one to stop"
    with pytest.raises(TaskRevokedError):
        stack.get(training)
