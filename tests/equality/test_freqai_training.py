"""A FreqAI training: what it says while it runs and when it is done, how it stops, and what it leaves for the run after it."""

from __future__ import annotations

import json
import re
import shutil
import time
import zipfile
from collections import Counter

import pytest

from tests.equality.conftest import Backtests
from tests.equality.freqai import FREQAI_STRATEGIES, PAIRS, freqai_config, own_model, train, trained

CLASSES = """
from freqai_example import FreqaiExample

class FreqaiClasses(FreqaiExample):
    def set_freqai_targets(self, dataframe, metadata, **kwargs):
        self.freqai.class_names = ["down", "up"]
        ahead = dataframe["close"].shift(-12)
        dataframe["&-way"] = (ahead > dataframe["close"]).map({True: "up", False: "down"})
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["&-way"] == "up", "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["&-way"] == "down", "exit_long"] = 1
        return dataframe
"""


FOREST = """
from freqtrade.freqai.base_models.BaseClassifierModel import BaseClassifierModel
from sklearn.ensemble import RandomForestClassifier

class Forest(BaseClassifierModel):
    def fit(self, data_dictionary, dk, **kwargs):
        labels = data_dictionary["train_labels"].to_numpy()[:, 0]
        return RandomForestClassifier(**self.model_training_parameters).fit(data_dictionary["train_features"], labels)
"""
"""A scikit-learn classifier of a user's own: freqtrade 2026.9's SKLearnRandomForestClassifier can't predict labels that are words, on its own command line
neither (it takes its own predictions for numbers of classes).
"""


@pytest.fixture
def jobs(backtests: Backtests) -> Backtests:
    backtests.strategies = FREQAI_STRATEGIES
    return backtests


def with_classes(jobs: Backtests) -> None:
    """A strategy whose label is a word."""
    jobs.strategies = jobs.folder / "strategies"
    jobs.strategies.mkdir()
    (jobs.strategies / "freqai_example.py").write_text((FREQAI_STRATEGIES / "freqai_example.py").read_text())
    (jobs.strategies / "classes.py").write_text(CLASSES)


def test_result_tells_each_window(jobs: Backtests) -> None:
    outcome = trained(jobs, freqai_config())

    result = outcome.result
    assert [(row["pair"], row["window"], row["windows"]) for row in result["windows"]] == [(pair, number, 2) for pair in PAIRS for number in (1, 2)]
    first = result["windows"][0]
    assert (first["train_start"], first["train_stop"]) == ("2026-01-03T00:00:00+00:00", "2026-01-06T00:00:00+00:00")
    assert (first["predict_start"], first["predict_stop"]) == ("2026-01-06T00:00:00+00:00", "2026-01-08T00:00:00+00:00")
    assert first["train_rows"] > 3 * first["test_rows"] > 300
    assert first["library"]["best_score"]["valid_0"]["l2"] > 0
    assert 0 < first["test"]["&-move"]["mae"] <= first["test"]["&-move"]["rmse"] < 0.1, "in the label's own unit"
    assert (result["windows_trained"], result["windows_kept"]) == (4, 0)
    assert (result["features"], result["labels"]) == (41, ["&-move"])
    assert result["manifest"]["code"].keys() == {"freqai_example.py"}
    assert result["cpu_seconds"] > 0
    assert [item["name"] for item in result["artifacts"]] == [
        "example.freqai.zip",
        "windows.json",
        "manifest.json",
        "freqtrade.log",
        "report.html",
        "run.json",
    ]
    assert result["model_artifact"] == result["artifacts"][0]
    (importances, *_) = [window["importances"] for window in json.loads((outcome.stored / "windows.json").read_text())]
    assert importances[0]["importance"] >= importances[-1]["importance"]
    assert importances[0]["feature"].startswith("%-")
    assert len(json.dumps(result)) < 16 << 10


def test_progress_by_pair_window_and_iteration(jobs: Backtests) -> None:
    progress = trained(jobs, freqai_config()).progress

    percents = [current for current, _, _ in progress]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)
    steps = [
        found.groups()
        for _, _, message in progress
        if (found := re.match(r"train (\S+) \((\d)/2\), window (\d)/2(?:, iteration (\d+)/20)?$", message))
    ]
    assert list(dict.fromkeys(step[:3] for step in steps)) == [(pair, str(at), window) for at, pair in enumerate(PAIRS, 1) for window in ("1", "2")]
    assert {step[3] for step in steps} >= {"1", "20"}


@pytest.mark.parametrize("model", ["LightGBMClassifier", pytest.param("XGBoostClassifier", marks=pytest.mark.slow), "Forest"])
def test_classifier(jobs: Backtests, model: str) -> None:
    with_classes(jobs)
    (jobs.folder / "user_data" / "freqaimodels").mkdir(parents=True)
    (jobs.folder / "user_data" / "freqaimodels" / "forest.py").write_text(FOREST)
    config = freqai_config(model_training_parameters={"n_estimators": 10, "random_state": 1})

    outcome = train(jobs, config, model=model, strategy="FreqaiClasses")

    assert outcome.error == {}
    assert outcome.result["labels"] == ["&-way"]
    assert all(0.2 < row["test"]["&-way"]["accuracy"] <= 1 for row in outcome.result["windows"])
    backtest = jobs.run("FreqaiClasses", config | {"freqai": {"model": outcome.result["model_artifact"]}})
    assert backtest.error == {}
    assert backtest.result["total_trades"] > 0


def test_a_model_class_of_the_users_own(jobs: Backtests) -> None:
    fits = own_model(jobs)
    outcome = trained(jobs, freqai_config(), model="Counted")
    assert len(fits.read_text().split()) == 4
    assert outcome.result["model"] == "Counted"
    assert set(outcome.result["manifest"]["code"]) == {"freqai_example.py", "counted.py"}


def test_a_killed_job_that_comes_back_keeps_its_finished_windows(jobs: Backtests) -> None:
    fits = own_model(jobs)
    train(jobs, freqai_config(), model="Counted", kill_at=60)  # in the second pair's first window
    before = fits.read_text().split()
    assert len(before) == 3
    # What a death in the middle of writing leaves.
    folder = jobs.folder / "job1" / "user_data" / "models" / "example"
    (folder / "pair_dictionary.json").write_text('{"BTC/USDT": {"model_fil')
    (folder / "backtesting_predictions").mkdir(exist_ok=True)
    (folder / "backtesting_predictions" / "cb_btc_1767830400_prediction.feather").write_bytes(b"half a file")

    jobs.count -= 1
    outcome = train(jobs, freqai_config(), model="Counted")

    assert outcome.error == {}
    fitted = Counter(fits.read_text().split())
    again = [name for name, count in fitted.items() if count > 1]
    assert len(fitted) == 4
    assert again == [before[-1]], "the window that was under way, and no other"
    assert (outcome.result["windows_kept"], outcome.result["windows_trained"]) == (2, 2)
    assert len(outcome.result["windows"]) == 4
    alone = trained(jobs, freqai_config(), model="Counted")
    errors = [[row["test"] for row in result["windows"]] for result in (outcome.result, alone.result)]
    assert errors[0] == errors[1]


def test_a_job_that_comes_back_to_another_strategy_begins_anew(jobs: Backtests) -> None:
    fits = own_model(jobs)
    jobs.strategies = jobs.folder / "strategies"
    jobs.strategies.mkdir()
    text = (FREQAI_STRATEGIES / "freqai_example.py").read_text()
    (jobs.strategies / "freqai_example.py").write_text(text)
    train(jobs, freqai_config(), model="Counted", kill_at=60)
    (jobs.strategies / "freqai_example.py").write_text(text.replace("ta.RSI", "ta.MFI"))

    jobs.count -= 1
    outcome = train(jobs, freqai_config(), model="Counted")

    assert (outcome.result["windows_kept"], outcome.result["windows_trained"]) == (0, 4)
    assert len(fits.read_text().split()) == 7


@pytest.mark.slow
def test_a_job_that_comes_back_to_other_candles_begins_anew(jobs: Backtests) -> None:
    jobs.datadir = shutil.copytree(jobs.datadir, jobs.folder / "candles")
    own_model(jobs)
    train(jobs, freqai_config(), model="Counted", kill_at=60)
    # What an informative pair reads counts, too.
    shutil.copy(jobs.datadir / "SOL_USDT-1h.feather", jobs.datadir / "BTC_USDT-1h.feather")

    jobs.count -= 1
    outcome = train(jobs, freqai_config(), model="Counted")

    assert (outcome.result["windows_kept"], outcome.result["windows_trained"]) == (0, 4)


def test_a_backtest_that_comes_back_takes_no_predictions_of_the_run_before(jobs: Backtests) -> None:
    jobs.datadir = shutil.copytree(jobs.datadir, jobs.folder / "candles")
    config = freqai_config() | {"freqaimodel": "LightGBMRegressor"}
    first = jobs.run("FreqaiExample", config)
    shutil.copy(jobs.datadir / "SOL_USDT-1h.feather", jobs.datadir / "BTC_USDT-1h.feather")

    jobs.count -= 1
    again = jobs.run("FreqaiExample", config)

    fresh = jobs.run("FreqaiExample", config)
    assert (first.error, again.error, fresh.error) == ({}, {}, {})
    assert again.stats["trades"] == fresh.stats["trades"]
    assert first.result["profit_total"] != fresh.result["profit_total"], "other candles made no difference"


@pytest.mark.parametrize(
    ("base", "parameters"),
    [
        ("LightGBMRegressor", {"n_estimators": 100_000, "verbosity": -1}),
        pytest.param("XGBoostRegressor", {"n_estimators": 100_000}, marks=pytest.mark.slow),
        ("SKLearnRandomForestClassifier", {"n_estimators": 100_000}),
    ],
)
def test_a_cancelled_training_stops_within_a_second(jobs: Backtests, base: str, parameters: dict[str, object]) -> None:
    # Only the fit is asked, by a timer that is set when it begins: no callback of any library, and none of ours.
    notes = own_model(jobs, base=base, before="import threading; threading.Timer(1.0, cancel).start()")
    file = notes.with_name("counted.py")
    finder = (
        "def cancel():\n    import gc, time\n    from workers.job import Job\n    Path(__file__).with_name('at.txt').write_text(str(time.time()))\n"
    )
    finder += "    (job,) = [each for each in gc.get_objects() if isinstance(each, Job)]\n    job.cancel('revoked')\n"
    file.write_text(file.read_text().replace("class Counted", f"{finder}\nclass Counted"))
    strategy = "FreqaiExample"
    if base.endswith("Classifier"):
        with_classes(jobs)
        strategy = "FreqaiClasses"

    outcome = train(jobs, freqai_config(model_training_parameters=parameters), model="Counted", strategy=strategy)

    ended = time.time()
    assert (outcome.error["type"], outcome.error["message"]) == ("JobCancelled", "revoked")
    assert ended - float(notes.with_name("at.txt").read_text()) < 1.0
    assert len(notes.read_text().split()) == 1


THREADS = """
import os
from pathlib import Path
from freqtrade.freqai.prediction_models.LightGBMRegressor import LightGBMRegressor

class Threads(LightGBMRegressor):
    def fit(self, data_dictionary, dk, **kwargs):
        before = len(os.listdir("/proc/self/task"))
        model = super().fit(data_dictionary, dk, **kwargs)
        started = len(os.listdir("/proc/self/task")) - before  # OpenMP keeps its threads
        Path(__file__).with_name("started.txt").write_text(str(started))
        return model
"""


def test_one_thread_unless_the_call_asks_for_more(jobs: Backtests) -> None:
    models = jobs.folder / "user_data" / "freqaimodels"
    models.mkdir(parents=True)
    (models / "threads.py").write_text(THREADS)
    config = freqai_config(timerange="20260106-20260107") | {"exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT"]}}
    started = []
    for more in ({}, {"n_jobs": 2}):
        config["freqai"]["model_training_parameters"] = {"n_estimators": 5, "verbosity": -1} | more
        trained(jobs, config, model="Threads")
        started.append(int((models / "started.txt").read_text()))
    assert started[0] == 0
    assert started[1] >= 1


def test_artifact_holds_a_folder_that_freqai_knows(jobs: Backtests) -> None:
    outcome = trained(jobs, freqai_config())
    with zipfile.ZipFile(outcome.stored / "example.freqai.zip") as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))
    assert {"manifest.json", "manifest.json.hmac", "model/pair_dictionary.json", "model/run_params.json"} <= names
    models = [name for name in names if name.endswith("_model.joblib")]
    assert len(models) == 4
    assert {name.removeprefix("model/") for name in names if name.startswith("model/")} == set(manifest["files"])
    assert (manifest["strategy"], manifest["model"], manifest["task_id"]) == ("FreqaiExample", "LightGBMRegressor", "job1")
    assert manifest["inputs"] == json.loads((outcome.stored / "manifest.json").read_text())
    assert manifest["freqai"]["model_training_parameters"]["n_estimators"] == 20
    key = jobs.folder / "user_data" / "model_signing.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.read_text().strip() not in str(outcome.result)
