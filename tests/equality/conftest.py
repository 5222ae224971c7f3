"""Jobs as a worker runs them (a child process each), and freqtrade's own command beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from examples.exchange_stand_in import ExchangeStandIn

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
STRATEGIES = ROOT / "examples" / "strategies"
PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")


def environment() -> dict[str, str]:
    """Ours without anything that would change what a backtest reads; freqtrade's tables aren't wrapped."""
    return {key: value for key, value in os.environ.items() if not key.startswith("FREQTRADE")} | {"PYTHONPATH": str(ROOT), "COLUMNS": "250"}


@dataclass
class Outcome:
    """What one job did."""

    directory: Path
    stored: Path
    """The job's folder of the artifact store."""
    result: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    """From the handler's call to its end."""
    progress: list[tuple[int, int | None, str]] = field(default_factory=list)

    @property
    def stats(self) -> dict[str, Any]:
        """The strategy's statistics out of freqtrade's own result file."""
        return stats_of(self.stored / "backtest_results")


@dataclass
class Backtests:
    """Runs jobs one after the other, each in a child of a warm server."""

    server: subprocess.Popen[str]
    folder: Path
    datadir: Path
    strategies: Path = STRATEGIES
    markets: Path | None = None
    base_config: Path | None = None
    signing_key: Path | None = None
    count: int = 0

    def run(
        self,
        strategy: str,
        config: dict[str, Any],
        *,
        command: str = "backtest.run",
        cancel_at: int | None = None,
        soft_limit_at: int | None = None,
        kill_at: int | None = None,
        **data: Any,
    ) -> Outcome:
        """Run one job; `data` is what its command carries besides. Of a killed one nothing is known."""
        self.count += 1
        name, store = f"job{self.count}", self.folder / "artifacts"
        outcome = Outcome(self.folder / name, store / name)
        environment = {
            "FREQTRADE_USER_DATA": self.folder / "user_data",
            "FREQTRADE_STRATEGIES": self.strategies,
            "FREQTRADE_DATADIR": self.datadir,
            "FREQTRADE_MARKETS": self.markets or self.folder / "no-markets",
            "FREQTRADE_CONFIG": self.base_config or "",
            "MODEL_SIGNING_KEY_FILE": self.signing_key or "",
        }
        spec = {
            "command": command,
            "id": name,
            "directory": str(outcome.directory),
            "artifacts": str(store),
            "environment": {key: str(value) for key, value in environment.items()},
            "data": {"strategy_name": strategy, "config": config} | data,
            "cancel_at": cancel_at,
            "soft_limit_at": soft_limit_at,
            "kill_at": kill_at,
        }
        return _ask(self.server, outcome, spec, killed=kill_at is not None)


@dataclass
class DataJobs:
    """Runs jobs of the data worker, each in a child of the same warm server."""

    server: subprocess.Popen[str]
    folder: Path
    exchange: ExchangeStandIn
    count: int = 0

    def __post_init__(self) -> None:
        self.config_file.write_text(json.dumps({"exchange": self.exchange.config()}))

    @property
    def user_data(self) -> Path:
        return self.folder / "user_data"

    @property
    def datadir(self) -> Path:
        return self.user_data / "data" / "binance"

    @property
    def config_file(self) -> Path:
        return self.folder / "exchange.json"

    @property
    def environment(self) -> dict[str, str]:
        others = dict.fromkeys(("FREQTRADE_STRATEGIES", "FREQTRADE_DATADIR", "FREQTRADE_MARKETS"), "")
        return others | {"FREQTRADE_USER_DATA": str(self.user_data), "FREQTRADE_CONFIG": str(self.config_file)}

    def run(self, type_: str, *, cancel_after: float | None = None, cancel_at: int | None = None, **data: Any) -> Outcome:
        self.count += 1
        store = self.folder / "artifacts"
        outcome = Outcome(self.folder / f"job{self.count}", store / f"job{self.count}")
        spec: dict[str, Any] = {
            "command": type_,
            "id": f"job{self.count}",
            "directory": str(outcome.directory),
            "artifacts": str(store),
            "data": data,
        }
        spec |= {"environment": self.environment, "cancel_after": cancel_after, "cancel_at": cancel_at, "soft_limit_at": None, "kill_at": None}
        return _ask(self.server, outcome, spec)

    def download(self, *pairs: str, timeframes: tuple[str, ...] = ("1h",), **data: Any) -> Outcome:
        return self.run("data.download", pairs=pairs, timeframes=timeframes, **data)


def _ask(server: subprocess.Popen[str], outcome: Outcome, spec: dict[str, Any], *, killed: bool = False) -> Outcome:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(spec) + "\n")
    server.stdin.flush()
    assert server.stdout.readline() == "done\n"
    if not killed:
        for name, value in json.loads((outcome.directory / "outcome.json").read_text()).items():
            setattr(outcome, name, value)
    return outcome


@pytest.fixture(scope="session")
def job_server() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(HERE / "job_server.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()) as server:
        yield server
        assert server.stdin is not None
        server.stdin.close()


@pytest.fixture(scope="session")
def synthetic_candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty days of three pairs."""
    datadir = tmp_path_factory.mktemp("candles")
    command = [sys.executable, "-m", "examples.candles", str(datadir), "--days", "20", "--timeframes", "1m", "5m", "1h", "--pairs", *PAIRS]
    subprocess.run(command, check=True, capture_output=True, env=environment(), cwd=ROOT)
    return datadir


@pytest.fixture(scope="session")
def real_candles() -> Path:
    datadir = Path(os.environ.get("SHARED_CANDLES") or ROOT.parent / "shared" / "data" / "candles")
    if not datadir.is_dir():
        pytest.skip(f"no real candles: {datadir} isn't there (SHARED_CANDLES names another folder)")
    return datadir


@pytest.fixture
def backtests(job_server: subprocess.Popen[str], synthetic_candles: Path, tmp_path: Path) -> Backtests:
    return Backtests(job_server, tmp_path, synthetic_candles)


@pytest.fixture
def data_jobs(job_server: subprocess.Popen[str], tmp_path: Path) -> Iterator[DataJobs]:
    with ExchangeStandIn() as exchange:
        yield DataJobs(job_server, tmp_path, exchange)


def call_config(**changes: Any) -> dict[str, Any]:
    """A small valid config for the synthetic candles."""
    config: dict[str, Any] = {
        "exchange": {"name": "binance", "pair_whitelist": list(PAIRS)},
        "stake_currency": "USDT",
        "stake_amount": 100,
        "dry_run_wallet": 1000,
        "max_open_trades": 3,
    }
    return config | changes


def run_plain_freqtrade(backtests: Backtests, command: str, strategy: str, config: dict[str, Any], markets: Path, *arguments: str) -> Path:
    """Run a command of freqtrade on the same inputs, in a process of its own, and return its user_data."""
    user_data = backtests.folder / "plain"
    user_data.mkdir()
    pricing = {"price_side": "same", "use_order_book": True, "order_book_top": 1}  # freqtrade doesn't start without
    own = {"dry_run": True, "pairlists": [{"method": "StaticPairList"}], "entry_pricing": pricing, "exit_pricing": pricing} | config
    (user_data / "config.json").write_text(json.dumps(own))
    places = ["--config", user_data / "config.json", "--userdir", user_data, "--datadir", backtests.datadir]
    places += ["--strategy", strategy, "--strategy-path", backtests.strategies]
    parts = [sys.executable, HERE / "plain_freqtrade.py", markets, command, *places, *arguments]
    done = subprocess.run([str(part) for part in parts], capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    (user_data / "output.txt").write_text(done.stdout + done.stderr)
    return user_data


def plain_freqtrade(backtests: Backtests, strategy: str, config: dict[str, Any], markets: Path, *arguments: str) -> dict[str, Any]:
    """Run `freqtrade backtesting` on the same inputs, and return the strategy's statistics."""
    user_data = run_plain_freqtrade(backtests, "backtesting", strategy, config, markets, "--cache", "none", "--export", "trades", *arguments)
    return stats_of(user_data / "backtest_results")


def stats_of(results: Path) -> dict[str, Any]:
    """One strategy's statistics out of a `backtest_results` folder."""
    latest = json.loads((results / ".last_result.json").read_text())["latest_backtest"]
    with zipfile.ZipFile(results / latest) as archive:
        document = json.loads(archive.read(latest.replace(".zip", ".json")))
    (stats,) = document["strategy"].values()
    return dict(stats)


def market(pair: str, *, price: float, amount: float, smallest_cost: float, fee: float) -> dict[str, Any]:
    """One market as an exchange gives it, with its own precision, smallest order and fees."""
    base, quote = pair.split("/")
    return {
        "id": base + quote,
        "symbol": pair,
        "base": base,
        "quote": quote,
        "baseId": base,
        "quoteId": quote,
        "type": "spot",
        "spot": True,
        "margin": False,
        "swap": False,
        "future": False,
        "option": False,
        "contract": False,
        "active": True,
        "taker": fee,
        "maker": fee,
        "precision": {"price": price, "amount": amount},
        "limits": {"amount": {"min": amount, "max": 1e6}, "price": {"min": price, "max": 1e6}, "cost": {"min": smallest_cost, "max": None}},
        "info": {},
    }


def write_markets(folder: Path, *markets: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "binance-spot.json"
    file.write_text(json.dumps({"exchange": "binance", "trading_mode": "spot", "markets": {item["symbol"]: item for item in markets}}))
    return file
