"""Canvases over several services, and what becomes of a sweep when its parts are killed in the middle. Every process is real."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.embedded import EmbeddedServer
from tasks.local_stack.process import REPOSITORY
from tasks.research import hyperopt_then_validate, sweep, train_then_backtest, walk_forward
from tests.acceptance.stack import Stack
from tests.acceptance.test_research import CONFIG, members_of, send
from tests.equality.freqai import freqai_config
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

HYPEROPT: dict[str, Any] = {
    "hyperopt_loss": "OnlyProfitHyperOptLoss",
    "hyperopt_random_state": 7,
    "spaces": ["buy", "sell"],
    "epochs": 3,
}


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    datadir, strategies = folder / "candles", folder / "strategies"
    command = [sys.executable, "-m", "examples.candles", str(datadir), "--days", "20", "--timeframes", "5m", "1h"]
    subprocess.run([*command, "--pairs", "BTC/USDT", "ETH/USDT"], check=True, capture_output=True, cwd=REPOSITORY)
    strategies.mkdir()
    for file in (REPOSITORY / "examples" / "strategies").rglob("*.py"):
        (strategies / file.name).write_text(file.read_text())
    variables = {"FREQTRADE_USER_DATA": folder, "FREQTRADE_STRATEGIES": strategies, "FREQTRADE_DATADIR": datadir, "CELERY_VISIBILITY_TIMEOUT": "5"}
    with Stack(folder, own_server, None, **{name: str(value) for name, value in variables.items()}) as stack:
        stack.app = "tasks"
        stack.celery()
        stack.bridge()
        for service in ("backtesting", "hyperopt", "freqai"):
            stack._process(service, ("-m", "workers", service, "-c", "1"), ready=f"{service}: 1 at a time")
        stack.start()
        yield stack


def artifact_of(result: dict[str, Any], name: str) -> Path:
    return Path(next(item["uri"] for item in result["artifacts"] if item["name"] == name).removeprefix("file://"))


def test_the_best_parameters_are_validated_on_days_that_the_hyperopt_did_not_see(stack: Stack) -> None:
    sent = send(stack, hyperopt_then_validate("RsiReversion", CONFIG | HYPEROPT | {"timerange": "20260105-20260108"}, "20260108-20260110"))
    found = stack.get(sent, timeout=110)
    assert (found["strategy"], found["timerange"]) == ("RsiReversion", "20260108-20260110")
    assert found["applied_params"]


def test_each_window_of_a_walk_forward_test_is_a_row(stack: Stack) -> None:
    config = CONFIG | HYPEROPT | {"timerange": "20260104-20260110"}
    found = stack.get(send(stack, walk_forward("RsiReversion", config, train_days=2, validate_days=2)), timeout=110)
    assert {row["config_diff"]["timerange"] for row in found["ranking"]} == {"20260106-20260108", "20260108-20260110"}
    assert found["failed"] == []


def test_a_window_whose_hyperopt_fails_is_a_row_with_its_error(stack: Stack) -> None:
    config = CONFIG | HYPEROPT | {"timerange": "20251228-20260105"}  # before the first candle
    found = stack.get(send(stack, walk_forward("RsiReversion", config, train_days=2, validate_days=2)), timeout=110)
    assert found["failed"]
    assert any("timerange: no candles in it" in row["error"]["message"] for row in found["failed"]), found["failed"]


def test_a_model_is_trained_in_one_service_and_used_in_another(stack: Stack) -> None:
    found = stack.get(send(stack, train_then_backtest("FreqaiExample", "LightGBMRegressor", freqai_config())), timeout=110)
    assert found["trained_model"]["predicted_windows"] > 0


@pytest.mark.chaos
@pytest.mark.parametrize("victims", [("backtesting",), ("bridge",), ("celery",), ("backtesting", "bridge", "celery")])
def test_a_sweep_survives_the_death_of_its_parts(stack: Stack, victims: tuple[str, ...]) -> None:
    grid = {"stoploss": [-0.01 * number for number in range(1, 6)] + [0.5]}
    sent = send(stack, sweep("EmaCross", CONFIG, grid=grid, pairs=["BTC/USDT", "ETH/USDT"]))
    wait_until(lambda: stack.states(members_of(sent).results)["SUCCESS"] > 1)
    for name in victims:
        stack.processes[name].crash()
    stack.start(*(stack.processes[name] for name in victims))
    found = stack.get(sent, timeout=110)
    assert (10, 2) == (len(found["ranking"]), len(found["failed"]))
    assert {"SUCCESS": 10, "FAILURE": 2} == stack.states(members_of(sent).results)
