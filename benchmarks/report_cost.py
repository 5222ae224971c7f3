"""What the page of a run costs in CPU time: on top of a real backtest of the demo's, and with how many runs in the index.

python benchmarks/report_cost.py [--runs 2000] [--repeat 5]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from examples.user_data import PAIRS, example_environment


def main() -> None:
    """Print one line for each number of runs in the index."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2_000, help="in the index, for the second line")
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    os.environ.update(example_environment())
    import workers.backtesting.engine  # noqa: F401 - the import that a warm child server saves

    for runs in (0, arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            measured = [in_a_child(Path(folder), number) for number in range(1)]
            template = json.loads((Path(folder) / "artifacts" / "job-0" / "run.json").read_text())
            for number in range(runs):
                place = Path(folder) / "artifacts" / f"other-{number}"
                place.mkdir()
                (place / "run.json").write_text(json.dumps(template | {"task_id": f"other-{number}"}))
            in_a_child(Path(folder), 1)  # reads the new records, once
            measured = [in_a_child(Path(folder), 2 + number) for number in range(arguments.repeat)]
            whole, page, index = (statistics.median(column) for column in zip(*measured, strict=True))
            size = (Path(folder) / "artifacts" / "index.html").stat().st_size
            print(
                f"{runs + 2:5} runs: backtest {whole:.2f} s, of which its report {page * 1000:.0f} ms ({page / (whole - page):.1%} on top), "
                f"of which the index {index * 1000:.0f} ms; index.html {size / 1e6:.2f} MB"
            )


def in_a_child(folder: Path, number: int) -> tuple[float, float, float]:
    """One backtest in a process of its own: CPU seconds of all of it, of details, page and index, and of the index."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.write(write, json.dumps(backtest(folder, number)).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as channel:
        found = json.loads(channel.read())
    os.waitpid(pid, 0)
    return found[0], found[1], found[2]


def backtest(folder: Path, number: int) -> list[float]:
    from workers.artifacts import ArtifactStore
    from workers.backtesting import engine
    from workers.backtesting.params import BacktestParams
    from workers.freqtrade.settings import FreqAISettings
    from workers.job import Job
    from workers.reports import publishing

    seconds: dict[str, float] = {}

    def timed(name: str, function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            began = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[name] = time.process_time() - began

        return call

    engine.publish = timed("report", engine.publish)
    publishing._bring_index_up_to_date = timed("index", publishing._bring_index_up_to_date)  # noqa: SLF001
    job = Job(id=f"job-{number}", type="backtest.run", directory=folder / f"job-{number}", artifacts=ArtifactStore(str(folder / "artifacts")))
    config: dict[str, Any] = {
        "exchange": {"name": "binance", "pair_whitelist": list(PAIRS)},
        "stake_currency": "USDT",
        "stake_amount": 100,
        "dry_run_wallet": 1000,
        "max_open_trades": 3,
    }
    began = time.process_time()
    engine.run(job, BacktestParams(strategy_name="EmaCross", config=config), FreqAISettings.load())
    return [time.process_time() - began, seconds["report"], seconds["index"]]


if __name__ == "__main__":
    main()
