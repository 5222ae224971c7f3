"""Downloads give freqtrade's own files; each mistake and trouble is told; one runs at a time."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from examples.exchange_stand_in import Gap
from tests.equality.conftest import ROOT, STRATEGIES, Backtests, DataJobs, call_config, environment
from tests.waiting import wait_until

TIMERANGE = "20240110-20240112"
JAN_11_MS = 1_704_931_200_000
HOUR_MS = 3_600_000


def hashes(datadir: Path) -> dict[str, str]:
    """Each candle file's, by its name."""
    return {path.relative_to(datadir).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in datadir.rglob("*.feather")}


def rows(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["file"]: row for row in result["files"]}


@pytest.mark.parametrize(
    ("trading_mode", "pairs"), [pytest.param("spot", ("BTC/USDT", "ETH/USDT"), marks=pytest.mark.slow), ("futures", ("BTC/USDT:USDT",))]
)
def test_files_are_those_of_freqtrades_own_command(data_jobs: DataJobs, tmp_path: Path, trading_mode: str, pairs: tuple[str, ...]) -> None:
    outcome = data_jobs.download(*pairs, timeframes=("5m", "1h"), timerange=TIMERANGE, trading_mode=trading_mode)
    assert outcome.error == {}

    plain = tmp_path / "plain"
    plain.mkdir()
    own = {"exchange": data_jobs.exchange.config() | {"pair_whitelist": []}, "trading_mode": trading_mode, "dry_run": True}
    (tmp_path / "plain.json").write_text(json.dumps(own | {"margin_mode": "isolated" if trading_mode == "futures" else "", "stake_currency": "USDT"}))
    arguments = ["--config", str(tmp_path / "plain.json"), "--userdir", str(tmp_path), "--datadir", str(plain), "--timerange", TIMERANGE]
    command = [sys.executable, "-m", "freqtrade", "download-data", *arguments, "--timeframes", "5m", "1h", "--pairs", *pairs]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr

    assert hashes(data_jobs.datadir) == hashes(plain)
    assert set(rows(outcome.result)) == set(hashes(plain)), "the result names each file"
    kinds = {row["candle_type"] for row in outcome.result["files"]}
    assert kinds == ({"spot"} if trading_mode == "spot" else {"futures", "mark", "funding_rate"})
    assert not (data_jobs.datadir / ".download").exists()
    assert outcome.progress[-1][0] == outcome.progress[-1][1] == len(outcome.result["files"])


def test_later_downloads_append_and_list_tells_what_is_there(data_jobs: DataJobs) -> None:
    data_jobs.exchange.gaps.append(Gap("BTCUSDT", JAN_11_MS, JAN_11_MS + 3 * HOUR_MS))
    first = data_jobs.download("BTC/USDT", timerange=TIMERANGE).result["files"][0]
    second = data_jobs.download("BTC/USDT", timerange="20240101-20240320").result["files"][0]
    again = data_jobs.download("BTC/USDT", timerange="20240101-20240320", prepend=True).result["files"][0]

    assert first["from"] == "2024-01-10T00:00:00+00:00"
    assert first["added"] == first["candles"]
    assert second["candles"] == first["candles"] + second["added"] > first["candles"]
    assert "prepend" in second["note"]
    assert again["from"] == "2024-01-01T00:00:00+00:00"
    # freqtrade takes the last candle for one that wasn't over yet, drops it, and with prepend doesn't ask for it again.
    assert again["added"] == 9 * 24 - 1
    longest = {"after": "2024-01-10T23:00:00+00:00", "before": "2024-01-11T03:00:00+00:00", "missing": 3}
    assert again["gaps"] == {"count": 1, "missing": 3, "longest": longest}

    listed = data_jobs.run("data.list").result
    assert listed["with_gaps"] == 1
    assert listed["files"] == [{key: value for key, value in again.items() if key != "added"}]
    assert data_jobs.run("data.list", exchange="kraken").result["files"] == []


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"pairs": ["BTC/USTD"]}, "BTC/USTD: the exchange has no such pair; near it: BTC/USDT"),
        ({"pairs": ["BTC/USDT"], "trading_mode": "futures"}, "near it: BTC/USDT:USDT"),
        ({"pairs": ["LUNA/USDT"]}, "LUNA/USDT: its trading has ended; include_inactive=True takes it"),
        ({"pairs": [".*/EUR"]}, ".*/EUR: the exchange has no such pair"),
        ({"pairs": ["*/USDT"]}, "pairs: Wildcard error in */USDT"),
        ({"timeframes": ["7m"]}, "timeframes: Invalid timeframe '7m'"),
        ({"timerange": "20260110-20260101"}, "timerange: "),
        ({"exchange": "no_such_exchange"}, "exchange: ccxt knows no exchange 'no_such_exchange'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_mistakes_are_told(data_jobs: DataJobs, asked: dict[str, Any], told: str) -> None:
    outcome = data_jobs.run("data.download", **({"pairs": ["BTC/USDT"], "timeframes": ["1h"]} | asked))
    assert outcome.error["type"] == "BadRequest"
    assert told in outcome.error["message"]


def test_an_exchange_that_is_down_is_asked_again_later(data_jobs: DataJobs) -> None:
    data_jobs.exchange.down = True
    outcome = data_jobs.download("BTC/USDT", timerange=TIMERANGE)
    assert outcome.error["type"] == "Retryable"
    assert "binance: ExchangeNotAvailable" in outcome.error["message"]
    data_jobs.exchange.down, data_jobs.exchange.rate_limited = False, True
    assert data_jobs.run("data.refresh_markets").error["type"] == "Retryable"


def test_what_freqtrade_only_logs_is_an_error(data_jobs: DataJobs) -> None:
    data_jobs.exchange.unavailable.append("/api/v3/klines")
    outcome = data_jobs.download("BTC/USDT", timerange=TIMERANGE)
    assert outcome.error["type"] == "Retryable"
    assert "503" in outcome.error["message"]
    assert hashes(data_jobs.datadir) == {}


@pytest.mark.parametrize("type_", ["data.download", "data.refresh_markets"])
def test_a_request_that_waits_is_broken_off_by_a_cancellation(data_jobs: DataJobs, type_: str) -> None:
    data_jobs.exchange.delay_s = 8
    asked: dict[str, Any] = {"pairs": ["BTC/USDT"], "timeframes": ["1h"]} if type_ == "data.download" else {}
    outcome = data_jobs.run(type_, cancel_after=0.5, **asked)
    assert outcome.error["type"] == "JobCancelled"
    assert outcome.seconds < 3


def test_a_cancelled_download_keeps_the_files_that_are_whole(data_jobs: DataJobs) -> None:
    outcome = data_jobs.download("BTC/USDT", "ETH/USDT", "SOL/USDT", timerange=TIMERANGE, cancel_at=2)
    assert outcome.error["type"] == "JobCancelled"
    assert set(hashes(data_jobs.datadir)) == {"BTC_USDT-1h.feather", "ETH_USDT-1h.feather"}
    assert not (data_jobs.datadir / ".download").exists()


def test_a_file_with_a_name_that_freqtrade_does_not_know_is_told(data_jobs: DataJobs) -> None:
    data_jobs.datadir.mkdir(parents=True)
    (data_jobs.datadir / "BTC_USDT-1h-old.feather").touch()
    error = data_jobs.run("data.list").error
    assert error["type"] == "JobFailure"
    assert f"{data_jobs.datadir} holds a file whose name isn't freqtrade's" in error["message"]


def test_downloaded_futures_are_backtested_with_their_fees(data_jobs: DataJobs, backtests: Backtests) -> None:
    asked: dict[str, Any] = {"trading_mode": "futures", "pairs": ["BTC/USDT:USDT"], "timeframes": ["15m"], "timerange": "20240110-20240125"}
    assert data_jobs.run("data.download", **asked).error == {}
    assert data_jobs.run("data.refresh_markets", trading_mode="futures").result["pairs_with_leverage_tiers"] > 0
    backtests.datadir, backtests.markets = data_jobs.datadir, data_jobs.user_data / "markets"
    backtests.strategies = STRATEGIES / "futures"
    exchange = {"name": "binance", "pair_whitelist": ["BTC/USDT:USDT"]}

    outcome = backtests.run("EmaBothWays", call_config(exchange=exchange, trading_mode="futures", margin_mode="isolated", timeframe="15m"))

    assert outcome.error == {}
    assert outcome.result["synthetic_markets"] is False
    assert any(trade["funding_fees"] for trade in outcome.stats["trades"])


def test_a_second_download_waits_and_can_be_cancelled_meanwhile(data_jobs: DataJobs) -> None:
    data_jobs.datadir.mkdir(parents=True)
    with (data_jobs.datadir / ".download.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        outcome = data_jobs.download("BTC/USDT", timerange=TIMERANGE, cancel_after=0.8)
    assert outcome.error["type"] == "JobCancelled"
    assert outcome.progress[-1][2] == "waiting for another download of binance"
    assert data_jobs.download("BTC/USDT", timerange=TIMERANGE).error == {}


READER = """
import sys, time
from pathlib import Path
from pyarrow import feather
file, reads, longest = Path(sys.argv[1]), 0, 0
print("ready", flush=True)
while not Path(sys.argv[2]).exists():
    length = len(feather.read_table(file, memory_map=False))
    assert length >= longest, f"{length} candles, and {longest} before"
    reads, longest = reads + 1, length
    time.sleep(0.003)
print(reads, longest)
"""


def test_who_reads_while_files_are_replaced_sees_whole_ones(data_jobs: DataJobs, tmp_path: Path) -> None:
    before = data_jobs.download("BTC/USDT", timeframes=("5m",), timerange=TIMERANGE).result["files"][0]
    file = data_jobs.datadir / before["file"]
    whole = file.read_bytes()
    command = [sys.executable, "-c", READER, str(file), str(tmp_path / "end")]
    with file.open("rb") as opened, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for until in ("0120", "0201", "0210", "0220"):
            last = data_jobs.download("BTC/USDT", timeframes=("5m",), timerange=f"20240110-2024{until}")
        (tmp_path / "end").touch()
        output, errors = reader.communicate()
        assert opened.read() == whole, "who has opened a file reads it to its end as it was"
    assert reader.returncode == 0, errors
    reads, longest = map(int, output.split())
    assert reads > 20
    assert longest == last.result["files"][0]["candles"] > 2 * before["candles"]


DISK_FULL = """
import sys
from freqtrade.data.history.datahandlers.featherdatahandler import FeatherDataHandler
from pathlib import Path
from workers.artifacts import ArtifactStore
from workers.data import download
from workers.data.params import DownloadParams
from workers.job import Job
from workers.outcome import is_retryable
FeatherDataHandler._store_dataframe = lambda self, data, filename: data.to_feather("/dev/full")
job = Job(id="job", type="data.download", directory=Path(sys.argv[1]), artifacts=ArtifactStore(sys.argv[1]))
try:
    download(job, DownloadParams(pairs=("BTC/USDT",), timeframes=("1h",), timerange="20240110-20240112"))
except Exception as exc:
    print(type(exc).__name__, is_retryable(exc), exc)
"""


@pytest.mark.slow
def test_a_full_disk_is_a_passing_trouble(data_jobs: DataJobs, tmp_path: Path) -> None:
    command = [sys.executable, "-c", DISK_FULL, str(tmp_path / "job")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment() | data_jobs.environment, check=False, cwd=ROOT)
    assert done.stdout.startswith("OSError True [Errno 28] No space left on device"), done.stdout + done.stderr
    assert hashes(data_jobs.datadir) == {}


@pytest.mark.slow
def test_a_killed_download_leaves_whole_files_and_the_next_one_works(data_jobs: DataJobs, tmp_path: Path) -> None:
    assert data_jobs.download("BTC/USDT", "ETH/USDT", timerange=TIMERANGE).error == {}
    before = hashes(data_jobs.datadir)
    command = [
        sys.executable,
        "-m",
        "workers",
        "data",
        "download",
        "-p",
        "BTC/USDT",
        "-p",
        "ETH/USDT",
        "-t",
        "1h",
        "--timerange",
        "20240110-20240410",
    ]
    places = {"JOBS_DIR": str(tmp_path / "jobs"), "ARTIFACTS_URL": str(tmp_path / "artifacts")}
    data_jobs.exchange.delay_s = 0.5
    with subprocess.Popen(command, env=environment() | data_jobs.environment | places, cwd=ROOT, start_new_session=True) as process:
        staged = data_jobs.datadir / ".download" / "BTC_USDT-1h.feather"
        wait_until(staged.exists, message="a file to be staged")
        holder = _holder(data_jobs.datadir / ".download.lock")
        os.kill(holder, signal.SIGKILL)
        process.wait()
    data_jobs.exchange.delay_s = 0
    assert staged.exists(), "the killed download had no time to clean up"
    assert hashes(data_jobs.datadir).items() >= before.items()

    outcome = data_jobs.download("BTC/USDT", "ETH/USDT", timerange="20240110-20240410")

    assert outcome.error == {}
    assert {row["gaps"]["count"] for row in outcome.result["files"]} == {0}
    assert all(row["added"] > 0 for row in outcome.result["files"])
    assert not (data_jobs.datadir / ".download").exists()


def _holder(lock: Path) -> int:
    """The process that holds a lock file: the job's own child."""
    inode = str(lock.stat().st_ino)
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if "FLOCK" in fields and fields[5].endswith(f":{inode}"):
            return int(fields[4])
    raise AssertionError("nobody holds the lock")


@pytest.mark.slow
def test_the_terminal_lists_candles_and_saves_markets(data_jobs: DataJobs) -> None:
    data_jobs.exchange.gaps.append(Gap("BTCUSDT", JAN_11_MS, JAN_11_MS + 3 * HOUR_MS))
    assert data_jobs.download("BTC/USDT", timerange=TIMERANGE).error == {}

    def data(*arguments: str) -> str:
        command = [sys.executable, "-m", "workers", "data", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment() | data_jobs.environment, check=False, cwd=ROOT)
        return done.stdout + done.stderr

    assert "3 candles after 2024-01-10 23:00" in data("list")
    assert data("markets", "refresh") == f"10 markets in {data_jobs.user_data / 'markets' / 'binance-spot.json'}\n"
    assert "binance" in data("markets", "show")
    data_jobs.exchange.down = True
    assert data("markets", "refresh").startswith("Error: binance: ExchangeNotAvailable")
