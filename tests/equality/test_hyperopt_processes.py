"""A hyperopt with several jobs starts processes of its own: none of them outlives it, however it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.equality.conftest import ROOT, STRATEGIES, call_config
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@contextmanager
def running_hyperopt(folder: Path, candles: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m workers run hyperopt.run`, which runs a job as a worker does: in the child of a warm server."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "JOBS_DIR": str(folder / "jobs"),
        "ARTIFACTS_URL": str(folder / "artifacts"),
        "FREQTRADE_USER_DATA": str(folder / "user_data"),
        "FREQTRADE_STRATEGIES": str(STRATEGIES),
        "FREQTRADE_DATADIR": str(candles),
    }
    config = call_config(hyperopt_loss="OnlyProfitHyperOptLoss", spaces=["buy", "sell"], epochs=1000, hyperopt_jobs=2)
    command = {"type": "hyperopt.run", "task_id": "job", "data": {"strategy_name": "RsiReversion", "config": config}}
    arguments = [sys.executable, "-m", "workers", "run", "hyperopt.run", "--service", "hyperopt"]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(command))
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


def epochs_of(folder: Path) -> int:
    return sum(len(file.read_text().splitlines()) for file in folder.glob("jobs/job/user_data/hyperopt_results/*.fthypt"))


def all_of(process: subprocess.Popen[str], folder: Path) -> list[psutil.Process]:
    """Each process below it once epochs are done: the server, the job, its two epochs at a time, freqtrade's for log lines, joblib's tracker."""
    wait_until(lambda: epochs_of(folder) >= 4, timeout=60)
    found = psutil.Process(process.pid).children(recursive=True)
    assert len(found) >= 6, found
    return found


def gone(processes: list[psutil.Process]) -> bool:
    return not [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]


def test_killing_the_worker_takes_all_of_them_along(synthetic_candles: Path, tmp_path: Path) -> None:
    with running_hyperopt(tmp_path, synthetic_candles) as process:
        processes = all_of(process, tmp_path)
        process.kill()
        wait_until(lambda: gone(processes))


def test_killing_the_jobs_process_takes_its_own_along(synthetic_candles: Path, tmp_path: Path) -> None:
    with running_hyperopt(tmp_path, synthetic_candles) as process:
        processes = all_of(process, tmp_path)
        (server,) = psutil.Process(process.pid).children()
        (job,) = server.children()
        job.kill()
        assert process.wait(timeout=20) == 1
        wait_until(lambda: gone(processes))


def test_cancelled_in_the_middle_of_epochs_it_ends_within_seconds_and_keeps_them(synthetic_candles: Path, tmp_path: Path) -> None:
    with running_hyperopt(tmp_path, synthetic_candles) as process:
        processes = all_of(process, tmp_path)
        process.terminate()
        assert process.wait(timeout=5) == 130
        wait_until(lambda: gone(processes))
    kept = json.loads((tmp_path / "artifacts" / "job" / "epochs.json").read_text())
    assert len(kept) >= 4
