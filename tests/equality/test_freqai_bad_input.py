"""What a caller of a training sees of each mistake, and of each failure that freqtrade would only log."""

from __future__ import annotations

from typing import Any

import pytest

from tests.equality.conftest import PAIRS, Backtests, call_config
from tests.equality.freqai import FREQAI_STRATEGIES, freqai_config, own_model, train


@pytest.fixture
def jobs(backtests: Backtests) -> Backtests:
    backtests.strategies = FREQAI_STRATEGIES
    return backtests


def test_unknown_model_lists_those_that_exist(jobs: Backtests) -> None:
    own_model(jobs)
    error = train(jobs, freqai_config(), model="LightGBMRegresor").error
    assert error["type"] == "BadRequest"
    assert "model_name: no FreqAI model 'LightGBMRegresor' on this worker; those that exist: Counted, LightGBMClassifier, " in error["message"]


@pytest.mark.parametrize("name", ["../LightGBMRegressor", "a b", "", "LightGBMRegressor\n"])
def test_model_name_with_a_path(jobs: Backtests, name: str) -> None:
    error = train(jobs, freqai_config(), model=name).error
    assert error["type"] == "BadRequest"
    assert "model_name: " in error["message"]


@pytest.mark.parametrize(("model", "package"), [("PyTorchMLPRegressor", "torch"), ("ReinforcementLearner", "torch"), ("Counted", "no_such_package")])
def test_missing_package_is_named(jobs: Backtests, model: str, package: str) -> None:
    file = own_model(jobs).with_name("counted.py")
    file.write_text(f"import no_such_package\n{file.read_text()}")
    error = train(jobs, freqai_config(), model=model).error
    assert error["type"] == "MissingDependency"
    assert f"model_name: {model} needs the package '{package}', which isn't installed on this worker: pip install {package}" == error["message"]


def test_error_in_the_file_of_a_model_arrives_as_it_is(jobs: Backtests) -> None:
    file = own_model(jobs).with_name("counted.py")
    file.write_text(f"1 / 0\n{file.read_text()}")
    error = train(jobs, freqai_config(), model="Counted").error
    assert error["type"] == "ZeroDivisionError"
    assert "counted.py" in error["traceback"]


def test_too_few_candles_for_the_first_window(jobs: Backtests) -> None:
    outcome = train(jobs, freqai_config(timerange="20260103-20260106"))
    assert outcome.error["type"] == "DataMissing"
    assert (
        "BTC/USDT 5m: the first window trains on 2025-12-31 00:00 to 2026-01-03 00:00: 3 days are needed, and there are 2.0"
        in outcome.error["message"]
    )
    assert "the file holds 2026-01-01 00:00 to 2026-01-20 23:55" in outcome.error["message"]
    assert max(current for current, _, _ in outcome.progress) == 0, "nothing was trained"


@pytest.mark.parametrize("when", ["fit", "second window"])
def test_a_training_that_raises_is_the_jobs_error(jobs: Backtests, when: str) -> None:
    code = "raise KeyError('on purpose')" if when == "fit" else "assert not dk.data_path.name.endswith('_1767830400'), 'on purpose'"
    own_model(jobs, before=code)
    outcome = train(jobs, freqai_config(), model="Counted")
    assert outcome.error["type"] == ("KeyError" if when == "fit" else "AssertionError")
    assert "on purpose" in outcome.error["message"]
    assert "counted.py" in outcome.error["traceback"]
    number, days = (1, "2026-01-03 00:00 to 2026-01-06 00:00") if when == "fit" else (2, "2026-01-05 00:00 to 2026-01-08 00:00")
    assert f"while training BTC/USDT, window {number} of 2: {days}" in outcome.error["traceback"]
    assert "freqtrade's log: file://" in outcome.error["traceback"]


def test_a_parameter_that_the_library_refuses(jobs: Backtests) -> None:
    outcome = train(jobs, freqai_config(model_training_parameters={"n_estimators": 5, "objective": "no_such_objective", "verbosity": -1}))
    assert outcome.error["type"] == "LightGBMError"
    assert "no_such_objective" in outcome.error["message"]


def test_a_training_that_makes_no_model(jobs: Backtests) -> None:
    own_model(jobs, before="return None")
    error = train(jobs, freqai_config(), model="Counted").error
    assert error["type"] == "JobFailure"
    assert "FreqAI has no model for a window" in error["message"]


def test_a_disk_that_is_full_loses_no_finished_window(jobs: Backtests) -> None:
    # While a file beside the class is there, no file may grow beyond 16 KiB from the second pair's first window on: its model isn't written whole.
    full = "import resource; Path(__file__).with_name('full').exists() and dk.pair == 'ETH/USDT' and "
    fits = own_model(jobs, before=full + "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, resource.RLIM_INFINITY))")
    fits.with_name("full").touch()
    outcome = train(jobs, freqai_config(), model="Counted")
    assert outcome.error["type"] == "OSError"
    assert "File too large" in outcome.error["message"]

    fits.with_name("full").unlink()
    jobs.count -= 1
    again = train(jobs, freqai_config(), model="Counted")

    assert again.error == {}
    assert (again.result["windows_kept"], again.result["windows_trained"]) == (2, 2)


def test_a_strategy_without_freqai(jobs: Backtests) -> None:
    jobs.strategies = jobs.strategies.parent
    error = train(jobs, freqai_config(), strategy="EmaCross").error
    assert error["type"] == "BadRequest"
    assert "EmaCross trains nothing: its populate_indicators doesn't call self.freqai.start(...)" in error["message"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timerange": "20260106-"}, "timerange: FreqAI needs its start and its end"),
        ({"timerange": "-20260110"}, "timerange: FreqAI needs its start and its end"),
        ({"freqai": {"backtest_period_days": 0}}, "freqai.backtest_period_days: must be more than 0"),
        ({"freqai": {"train_period_days": 0}}, "freqai.train_period_days: must be more than 0"),
        ({"freqai": {"train_period_days": "30"}}, "freqai.train_period_days: must be integer"),
        ({"freqai": {"identifier": "../models"}}, "freqai.identifier: must be a plain name"),
        (
            {"freqai": {"model_training_parameters": {"input_model": "/etc/passwd"}}},
            "freqai.model_training_parameters.input_model: looks like a path",
        ),
        ({"freqai": True}, "freqai: must be object"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_bad_value_names_its_key(jobs: Backtests, change: dict[str, Any], message: str) -> None:
    config = freqai_config()
    if isinstance(freqai := change.get("freqai"), dict):
        change = {"freqai": config["freqai"] | freqai}
    error = train(jobs, config | change).error
    assert error["type"] == "BadRequest"
    assert message in error["message"]


def test_a_backtest_that_would_slide_for_ever_is_refused(jobs: Backtests) -> None:
    error = jobs.run("FreqaiExample", freqai_config(backtest_period_days=0) | {"freqaimodel": "LightGBMRegressor"}).error
    assert error["type"] == "BadRequest"
    assert error["message"] == "freqai.backtest_period_days: must be more than 0"


def test_without_a_freqai_section_the_keys_that_are_needed_are_named(jobs: Backtests) -> None:
    error = train(jobs, call_config(timerange="20260106-20260110")).error
    assert error["type"] == "BadRequest"
    assert "freqai: needs train_period_days, backtest_period_days, feature_parameters" in error["message"]
    assert PAIRS[0] not in error["message"]
