"""The command's data, as the Celery side checks it before dispatch and the worker again."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from workers.backtesting.params import BacktestParams


@pytest.mark.parametrize("name", ["EmaCross", "_private", "Strategy005"])
def test_class_names(name: str) -> None:
    assert BacktestParams(strategy_name=name).config == {}


@pytest.mark.parametrize("name", ["", "5", "a.b", "../a", "a/b", "A:Y2xhc3M=", "a b", "A\n", "A" * 200])
def test_anything_else_is_no_strategy_name(name: str) -> None:
    with pytest.raises(ValidationError):
        BacktestParams(strategy_name=name)


def test_unknown_fields_and_values_that_are_no_json() -> None:
    for data in ({"strategy_name": "A", "strategy": "B"}, {"strategy_name": "A", "config": {"x": object()}}, {"strategy_name": "A", "config": []}):
        with pytest.raises(ValidationError):
            BacktestParams.model_validate(data)


@pytest.mark.parametrize("module", ["workers.backtesting.params", "workers.hyperopt.params"])
def test_the_celery_side_needs_nothing_of_a_worker_for_them(module: str) -> None:
    script = "import importlib, sys; importlib.import_module(sys.argv[1]); print(sorted(set(sys.modules) & {'freqtrade', 'pandas', 'fsspec', 'redis', 'celery'}))"
    done = subprocess.run([sys.executable, "-c", script, module], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
