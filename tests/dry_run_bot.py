"""A real freqtrade bot in dry-run mode, on the exchange stand-in."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from freqtrade_client import FtRestClient

from examples.exchange_stand_in import ExchangeStandIn
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
PASSWORD = "only-here"
PRICING = {"price_side": "other", "use_order_book": True, "order_book_top": 1}


class DryRunBot:
    """`freqtrade trade` in a process of its own, with its REST API."""

    def __init__(
        self,
        exchange: ExchangeStandIn,
        folder: Path,
        strategy: str,
        *,
        pairs: tuple[str, ...] = ("BTC/USDT",),
        strategies: Path = ROOT / "examples" / "strategies",
        arguments: tuple[str, ...] = (),
        **changes: Any,
    ) -> None:
        self.port = _free_port()
        self.log = folder / "bot.log"
        folder.mkdir(parents=True, exist_ok=True)
        config = self._config(exchange, folder, pairs) | changes
        (folder / "config.json").write_text(json.dumps(config))
        command = ["trade", "--config", folder / "config.json", "--userdir", folder, "--strategy", strategy, "--strategy-path", strategies]
        self.command = [sys.executable, "-m", "freqtrade", *(str(part) for part in command), *arguments]
        self.client = FtRestClient(f"http://127.0.0.1:{self.port}", "bot", PASSWORD)
        self.process: subprocess.Popen[bytes] | None = None

    def _config(self, exchange: ExchangeStandIn, folder: Path, pairs: tuple[str, ...]) -> dict[str, Any]:
        return {
            "dry_run": True,
            "dry_run_wallet": 10_000,
            "stake_currency": "USDT",
            "stake_amount": 500,
            "max_open_trades": 3,
            "exchange": exchange.config() | {"pair_whitelist": list(pairs)},
            "pairlists": [{"method": "StaticPairList"}],
            "entry_pricing": PRICING,
            "exit_pricing": PRICING,
            "force_entry_enable": True,
            "initial_state": "running",
            "db_url": f"sqlite:///{folder / 'trades.sqlite'}",
            "internals": {"process_throttle_secs": 1},
            "api_server": {
                "enabled": True,
                "listen_ip_address": "127.0.0.1",
                "listen_port": self.port,
                "jwt_secret_key": "a-long-secret-of-this-test-and-no-other-one",
                "ws_token": "a-token-of-this-test",
                "username": "bot",
                "password": PASSWORD,
            },
        }

    def __enter__(self) -> Self:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("FREQTRADE")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, env=environment, cwd=ROOT)
        wait_until(self._is_up, timeout=60, message="the bot's API to answer")
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket() as probe:  # the client logs each refused connection as an error
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
