"""Downloads as Celery tasks, through the whole system: an exchange that is down for a while, two at a time, a cancellation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from examples.exchange_stand_in import ExchangeStandIn
from tasks.local_stack import LocalStack
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


class Farm:
    """The local stack with a data worker whose exchange is the stand-in."""

    def __init__(self, exchange: ExchangeStandIn, stack: LocalStack) -> None:
        self.exchange = exchange
        names = stack.client_environment
        self.caller = Celery("caller", broker=names["CELERY_BROKER_URL"], backend=names["CELERY_RESULT_BACKEND"])

    def send(self, task: str, **asked: Any) -> AsyncResult:
        return self.caller.send_task(f"tasks.data.{task}", kwargs=asked)

    def message(self, result: AsyncResult) -> str:
        """The latest progress."""
        return str(result.info.get("message", "")) if result.state == "PROGRESS" else ""


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    with ExchangeStandIn() as exchange:
        (tmp_path / "config.json").write_text(json.dumps({"exchange": exchange.config()}))
        environment = {"FREQTRADE_USER_DATA": str(tmp_path / "user_data"), "FREQTRADE_CONFIG": str(tmp_path / "config.json")}
        only = ("celery", "bridge", "data")
        with LocalStack(tmp_path / "var", only=only, environment={"data": environment}) as stack:
            yield Farm(exchange, stack)


def test_a_download_outlasts_an_exchange_that_is_down(farm: Farm) -> None:
    farm.exchange.down = True
    result = farm.send("download_data_task", pairs=["BTC/USDT"], timeframes=["1h"], timerange="20240110-20240112")
    wait_until(lambda: farm.exchange.requests, timeout=60, message="the exchange to be asked")
    farm.exchange.down = False
    done = result.get(timeout=120)
    assert [(row["pair"], row["timeframe"]) for row in done["files"]] == [("BTC/USDT", "1h")]
    listed = farm.send("list_data_task").get(timeout=60)
    assert listed["files"][0]["candles"] == done["files"][0]["candles"] > 48
    assert farm.send("refresh_markets_task", trading_mode="futures").get(timeout=60)["markets"] == 10


def test_a_cancelled_download_ends_at_once(farm: Farm) -> None:
    farm.exchange.delay_s = 30
    result = farm.send("download_data_task", pairs=["BTC/USDT"], timeframes=["1h"], timerange="20240110-20240112")
    wait_until(lambda: "markets of binance" in farm.message(result), timeout=60, message="the download to begin")
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=10)
