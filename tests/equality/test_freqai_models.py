"""A trained model in a backtest: used without training, and refused before the backtest begins when it doesn't fit, or isn't what was signed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.equality.conftest import Backtests, Outcome
from tests.equality.freqai import FREQAI_STRATEGIES, freqai_config, own_model, trained, using


@pytest.fixture
def jobs(backtests: Backtests) -> Backtests:
    backtests.strategies = FREQAI_STRATEGIES
    return backtests


def refused(outcome: Outcome) -> str:
    assert outcome.error.get("type") == "BadRequest", outcome.error
    assert not (outcome.directory / "user_data" / "models" / "example" / "backtesting_predictions").exists(), "nothing was predicted"
    return outcome.error["message"]


def test_a_backtest_with_a_model_trains_nothing(jobs: Backtests) -> None:
    fits = own_model(jobs)
    training = trained(jobs, freqai_config(), model="Counted")
    before = fits.read_text()

    backtest = jobs.run("FreqaiExample", using(training, timerange="20260106-20260109"))

    assert backtest.error == {}
    assert fits.read_text() == before
    assert len(before.split()) == 4
    assert backtest.result["total_trades"] > 5
    model = backtest.result["trained_model"]
    assert (model["task_id"], model["model"], model["predicted_windows"]) == ("job1", "Counted", 4)
    assert model["sha256"] == training.result["model_artifact"]["sha256"]
    assert model["changed_code"] == model["changed_versions"] == []
    assert "freqai.model.sha256" in backtest.result["config"]["used"]
    assert "model" not in json.loads((backtest.directory / "config.json").read_text())["freqai"], "freqtrade knows no such key"


def test_windows_without_a_model_are_listed_before_it_starts(jobs: Backtests) -> None:
    training = trained(jobs, freqai_config())
    message = refused(jobs.run("FreqaiExample", using(training, timerange="20260106-20260112")))
    assert "it has no model for 2 windows of this backtest" in message
    assert "BTC/USDT trained on 2026-01-07 00:00 to 2026-01-10 00:00" in message
    assert "ETH/USDT trained on 2026-01-07 00:00 to 2026-01-10 00:00" in message
    assert "it has 4 models, of BTC/USDT, ETH/USDT, trained on days from 2026-01-03 00:00 to 2026-01-08 00:00" in message

    other = using(training, exchange={"name": "binance", "pair_whitelist": ["SOL/USDT"]})
    assert "SOL/USDT trained on 2026-01-03 00:00 to 2026-01-06 00:00" in refused(jobs.run("FreqaiExample", other))


@pytest.mark.parametrize(
    ("freqai", "message"),
    [
        ({"feature_parameters": {"include_shifted_candles": 2}}, "freqai.feature_parameters.include_shifted_candles: is 1 in the model"),
        ({"feature_parameters": {"include_timeframes": ["5m"]}}, "freqai.feature_parameters.include_timeframes: is ['5m', '1h'] in the model"),
        ({"conv_width": 2}, "freqai.conv_width: is 1 in the model"),
        ({"train_period_days": 2}, "it has no model for 4 windows"),
    ],
)
def test_a_config_that_changes_the_features_is_refused(jobs: Backtests, freqai: dict[str, Any], message: str) -> None:
    training = trained(jobs, freqai_config())
    config = using(training)
    config["freqai"] |= freqai
    assert message in refused(jobs.run("FreqaiExample", config))


def test_a_strategy_that_changed(jobs: Backtests) -> None:
    jobs.strategies = jobs.folder / "strategies"
    jobs.strategies.mkdir()
    file, text = jobs.strategies / "freqai_example.py", (FREQAI_STRATEGIES / "freqai_example.py").read_text()
    file.write_text(text)
    training = trained(jobs, freqai_config())

    file.write_text(text.replace("-0.04", "-0.03"))
    other_exits = jobs.run("FreqaiExample", using(training))
    assert other_exits.error == {}
    assert other_exits.result["trained_model"]["changed_code"] == ["freqai_example.py"]

    file.write_text(text.replace("%-hour", "%-time"))
    other_features = jobs.run("FreqaiExample", using(training))
    assert other_features.error["type"] == "BadRequest"
    assert "other features than those that the model was trained with: new %-time; gone %-hour" in other_features.error["message"]

    file.write_text(text.replace("class FreqaiExample", "class Another"))
    assert "it was trained with the strategy FreqaiExample" in refused(jobs.run("Another", using(training)))


def rewrite(archive: Path, change: Callable[[dict[str, bytes]], object]) -> None:
    with zipfile.ZipFile(archive) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    change(entries)
    with zipfile.ZipFile(archive, "w") as sink:
        for name, content in entries.items():
            sink.writestr(name, content)


def a_model(entries: dict[str, bytes]) -> str:
    return next(name for name in entries if name.endswith("_model.joblib"))


CANARY = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch CANARY\x85R."
"""A pickle that runs a command when it is loaded."""


def change_a_model(entries: dict[str, bytes]) -> None:
    entries[a_model(entries)] = CANARY


def change_a_model_and_its_hash(entries: dict[str, bytes]) -> None:
    change_a_model(entries)
    manifest = json.loads(entries["manifest.json"])
    manifest["files"][a_model(entries).removeprefix("model/")] = {"size": len(CANARY), "sha256": hashlib.sha256(CANARY).hexdigest()}
    entries["manifest.json"] = json.dumps(manifest).encode()


TOUCHED: list[tuple[Callable[[dict[str, bytes]], object], str]] = [
    (change_a_model, "a file was changed after it was signed: cb_"),
    (change_a_model_and_its_hash, "its manifest was changed after it was signed"),
    (lambda entries: entries.update({"model/../../../evil.py": b""}), "it holds a file that its manifest doesn't name"),
    (lambda entries: entries.update({"/evil.py": b""}), "it holds a file that its manifest doesn't name"),
    (lambda entries: entries.pop(a_model(entries)), "a file is missing: sub-train-"),
    (lambda entries: entries.pop("manifest.json.hmac"), "a zip without its manifest.json.hmac is none"),
]


def test_a_touched_artifact_is_refused_before_anything_is_loaded(jobs: Backtests) -> None:
    # Whoever can write to the store can also name the new size and hash in a call: only the signature is left.
    training = trained(jobs, freqai_config(timerange="20260106-20260107"))
    archive = training.stored / "example.freqai.zip"
    signed = archive.read_bytes()
    for change, message in TOUCHED:
        archive.write_bytes(signed)
        rewrite(archive, change)
        content = archive.read_bytes()
        claim = training.result["model_artifact"] | {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}

        outcome = jobs.run("FreqaiExample", freqai_config(timerange="20260106-20260107") | {"freqai": {"model": claim}})

        assert message in refused(outcome)
        assert not (outcome.directory / "user_data" / "models" / "example").exists()
    assert not list(jobs.folder.rglob("CANARY")) + list(jobs.folder.rglob("evil.py"))


def test_a_claim_check_that_is_not_the_files(jobs: Backtests) -> None:
    training = trained(jobs, freqai_config(timerange="20260106-20260107"))
    claim = training.result["model_artifact"]

    def run(**changes: Any) -> Outcome:
        return jobs.run("FreqaiExample", freqai_config() | {"freqai": {"model": {**claim, **changes}}})

    assert "its size or sha256 differs" in refused(run(sha256="0" * 64))
    assert "doesn't lie in this worker's store" in refused(run(uri="file:///etc/passwd"))
    assert "wrong or missing: size" in refused(run(size=None))
    assert "freqai.model.secret" in refused(run(secret="S3CRET"))
    assert "it is no object" in refused(jobs.run("FreqaiExample", freqai_config() | {"freqai": {"model": "example.zip"}}))
    windows = training.result["artifacts"][1]
    assert "no zip that can be read" in refused(jobs.run("FreqaiExample", freqai_config() | {"freqai": {"model": windows}}))
    gone = jobs.run("FreqaiExample", freqai_config() | {"freqai": {"model": {**claim, "uri": claim["uri"].replace("job1", "job0")}}})
    assert gone.error["type"] == "DataMissing"


def test_another_key_and_no_key(jobs: Backtests) -> None:
    training = trained(jobs, freqai_config(timerange="20260106-20260107"))
    config = using(training, timerange="20260106-20260107")

    jobs.signing_key = jobs.folder / "other.key"
    missing = jobs.run("FreqaiExample", config)
    assert missing.error["type"] == "DataMissing"
    assert f"MODEL_SIGNING_KEY_FILE: no such file: {jobs.signing_key}" in missing.error["message"]

    jobs.signing_key.write_text("k" * 64)
    assert "it is signed with another key than this worker's" in refused(jobs.run("FreqaiExample", config))

    jobs.signing_key.write_text("short")
    short = jobs.run("FreqaiExample", config)
    assert short.error["message"] == f"MODEL_SIGNING_KEY_FILE: {jobs.signing_key} holds 5 characters; a key has at least 32"

    jobs.signing_key = None
    assert jobs.run("FreqaiExample", config).error == {}


def test_only_a_backtest_takes_a_model(jobs: Backtests) -> None:
    training = trained(jobs, freqai_config(timerange="20260106-20260107"))
    again = jobs.run("FreqaiExample", using(training), command="freqai.train", model_name="LightGBMRegressor")
    assert "freqai.model: a training makes a model" in refused(again)
