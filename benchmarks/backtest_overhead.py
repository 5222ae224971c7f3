"""One bridged backtest against the plain `freqtrade backtesting` command: the same work, in pairs.

    .venv/bin/python -m benchmarks.backtest_overhead --runs 5

Cold: nothing runs yet; from starting the stack (server, Celery worker, bridge, backtesting worker) to the first result. Warm: the stack is up; from
`.delay()` to `.get()`. The plain command is a process of its own each time, as at a terminal; its markets come from the same file, as there may be no
network. Machines are shared and noisy: quote the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from examples.candles import make_candles
from tasks.local_stack import LocalStack
from tests.equality.conftest import market
from tests.equality.conftest import write_markets as write_snapshot

ROOT = Path(__file__).resolve().parent.parent
PLAIN = ROOT / "tests" / "equality" / "plain_freqtrade.py"
STRATEGIES = ROOT / "examples" / "strategies"
STRATEGY = "EmaCross"
PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def call_config() -> dict[str, Any]:
    return {
        "timeframe": "5m",
        "stake_currency": "USDT",
        "stake_amount": "unlimited",
        "dry_run_wallet": 10_000,
        "max_open_trades": 3,
        "exchange": {"name": "binance", "pair_whitelist": list(PAIRS)},
        "pairlists": [{"method": "StaticPairList"}],
    }


def markets_of_both(folder: Path) -> Path:
    """A snapshot that both sides use."""
    written: Path = write_snapshot(folder, *(market(pair, price=0.0001, amount=0.0001, smallest_cost=5, fee=0.001) for pair in PAIRS))
    return written


def plain(folder: Path, datadir: Path, markets: Path) -> None:
    """The plain command, from process start to exit."""
    config = {
        "dry_run": True,
        "entry_pricing": {"price_side": "same"},
        "exit_pricing": {"price_side": "same"},
        **call_config(),
    }
    config_file = folder / "config.json"
    config_file.write_text(json.dumps(config))
    user_data = folder / "user_data"
    (user_data / "backtest_results").mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        str(PLAIN),
        str(markets),
        "backtesting",
        "--config",
        str(config_file),
        "--userdir",
        str(user_data),
        "--datadir",
        str(datadir),
    ]
    command += ["--strategy-path", str(STRATEGIES), "--strategy", STRATEGY, "--cache", "none", "--export", "trades"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(f"freqtrade failed:\n{done.stderr[-3000:]}")


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="pairs of runs, warm")
    parser.add_argument("--days", type=int, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        datadir, markets = folder / "data", markets_of_both(folder / "markets")
        make_candles(datadir, PAIRS, days=asked.days, timeframes=("5m",))
        measure(folder, datadir, markets, asked.runs)


def measure(folder: Path, datadir: Path, markets: Path, runs: int) -> None:
    def run_plain() -> None:
        plain(folder, datadir, markets)

    run_plain()  # what both sides read is in the page cache from here on
    cold_plain = seconds(run_plain)
    environment = {
        "FREQTRADE_USER_DATA": str(folder / "user_data"),
        "FREQTRADE_STRATEGIES": str(STRATEGIES),
        "FREQTRADE_DATADIR": str(datadir),
        "FREQTRADE_MARKETS": str(markets.parent),
    }
    stack = LocalStack(folder / "stack", only=("celery", "bridge", "backtesting"), concurrency=1, environment={"backtesting": environment})
    began = time.perf_counter()
    with stack:
        os.environ.update(stack.client_environment)
        from tasks.backtesting import run_backtest_task

        def run_bridged() -> dict[str, Any]:
            result: dict[str, Any] = run_backtest_task.delay(STRATEGY, call_config()).get(timeout=300)
            return result

        first = run_bridged()
        cold_bridged = time.perf_counter() - began
        pairs = [(seconds(run_plain), seconds(run_bridged)) for _ in range(runs)]
    show(cold_plain, cold_bridged, pairs, first)


def show(cold_plain: float, cold_bridged: float, pairs: list[tuple[float, float]], first: dict[str, Any]) -> None:
    table = Table(title=f"{STRATEGY}, {first['total_trades']} trades: plain command against bridged task", title_justify="left")
    for column in ("", "plain (s)", "bridged (s)", "bridged / plain"):
        table.add_column(column, justify="right")
    table.add_row("cold", f"{cold_plain:.2f}", f"{cold_bridged:.2f}", f"{cold_bridged / cold_plain:.2f}")
    for name, pick in (("warm, median", statistics.median), ("warm, min", min), ("warm, max", max)):
        ratios = [bridged / plain_one for plain_one, bridged in pairs]
        table.add_row(name, f"{pick([a for a, _ in pairs]):.2f}", f"{pick([b for _, b in pairs]):.2f}", f"{pick(ratios):.2f}")
    console = Console(width=100)
    console.print(table)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    console.print(
        f"the job's own run: {first['run_seconds']} s, {first['cpu_seconds']} s of CPU, peak {first['peak_rss'] >> 20} MiB; largest child here: {peak} MiB"
    )


if __name__ == "__main__":
    main()
