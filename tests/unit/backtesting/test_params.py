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


def test_module_needs_pydantic_only() -> None:
    script = (
        "import importlib.util, sys;"
        "spec = importlib.util.spec_from_file_location('params', sys.argv[1]);"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec));"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'freqtrade', 'workers', 'streams', 'fsspec', 'redis', 'celery'}))"
    )
    from workers.backtesting import params

    done = subprocess.run([sys.executable, "-c", script, str(params.__file__)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
