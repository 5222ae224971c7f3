"""Many real backtests as one canvas, with every process real."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Signature
from celery.result import AsyncResult, GroupResult

from streams.embedded import EmbeddedServer
from tasks.local_stack.process import REPOSITORY
from tasks.research import compare_strategies, sweep
from tests.acceptance.stack import Stack

CONFIG: dict[str, Any] = {
    "exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT"]},
    "stake_currency": "USDT",
    "stake_amount": 100,
    "dry_run_wallet": 1000,
    "max_open_trades": 3,
    "timeframe": "5m",
}


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    datadir = tmp_path_factory.mktemp("candles")
    command = [sys.executable, "-m", "examples.candles", str(datadir), "--days", "3", "--timeframes", "5m", "--pairs", "BTC/USDT", "ETH/USDT"]
    subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY)
    return datadir


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, candles: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    strategies = str(REPOSITORY / "examples" / "strategies")
    with Stack(folder, own_server, FREQTRADE_USER_DATA=str(folder), FREQTRADE_STRATEGIES=strategies, FREQTRADE_DATADIR=str(candles)) as stack:
        stack.app = "tasks"
        stack.celery()
        stack.bridge()
        stack._process("worker", ("-m", "workers", "backtesting", "-c", "1"), ready="backtesting: 1 at a time")
        stack.start()
        yield stack


def send(stack: Stack, signature: Signature) -> AsyncResult:
    """By a caller that knows no task."""
    received = Signature.from_dict(json.loads(json.dumps(signature)), app=stack.caller)
    received.__class__ = type(signature)
    return received.apply_async()


HISTORY = "import sys, types; from bridge.cli.jobs import jobs; from tasks import app; jobs(sys.argv[1:], obj=types.SimpleNamespace(app=app))"


def history(stack: Stack, *arguments: str) -> list[dict[str, Any]]:
    """As `celery -A tasks jobs history` says."""
    done = subprocess.run(
        [sys.executable, "-c", HISTORY, "history", "--json", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env=stack._environment,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def members_of(result: AsyncResult) -> GroupResult:
    assert isinstance(result.parent, GroupResult)
    return result.parent


def test_strategies_are_compared_and_a_single_backtest_goes_before_a_sweep(stack: Stack) -> None:
    compared = send(stack, compare_strategies(["EmaCross", "RsiReversion"], CONFIG))
    swept = send(stack, sweep("EmaCross", CONFIG, grid={"stoploss": [-0.01, -0.02, 0.5, -0.04]}, pairs=["BTC/USDT", "ETH/USDT"]))
    stack.wait_for_states(members_of(swept).results[-1:], "DISPATCHED")
    single = stack.caller.signature("tasks.backtesting.run_backtest_task", ("EmaCross", CONFIG)).apply_async()
    alone = stack.get(single)
    waited = stack.states(members_of(swept).results)

    ranking = stack.get(compared)["ranking"]
    assert {"EmaCross", "RsiReversion"} == {row["label"] for row in ranking}
    assert ranking == sorted(ranking, key=lambda row: -row["profit_total"])
    assert alone["profit_total"] == next(row["profit_total"] for row in ranking if row["label"] == "EmaCross")
    assert waited["DISPATCHED"] > 0, waited

    found = stack.get(swept)
    assert {"SUCCESS": 6, "FAILURE": 2} == stack.states(members_of(swept).results)
    assert (6, 2) == (len(found["ranking"]), len(found["failed"]))
    assert {"BadRequest"} == {row["error"]["type"] for row in found["failed"]}
    assert all("stoploss: must be below 0" in row["error"]["message"] for row in found["failed"])
    assert {0.5} == {row["config_diff"]["stoploss"] for row in found["failed"]}
    assert history(stack, "--strategy", "EmaCross", "--task", "run_backtest_task", "--sort", "profit", "--limit", "1")[0]["values"]["profit"] == max(
        row["profit_total"] for row in [*found["ranking"], alone]
    )
    assert {"BadRequest"} == {line["error"].partition(":")[0] for line in history(stack, "--state", "FAILURE")}
    ids = {row["task_id"] for row in [*found["ranking"], *found["failed"]]}
    assert ids == {member.id for member in members_of(swept).results}
