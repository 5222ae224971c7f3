"""The pages of trainings and hyperopts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.reports.results import hyperopt, training
from tests.unit.reports.test_backtest_page import EVIL, Elements, data_of, published
from workers.reports import Kind


def record_of(folder: Path) -> Any:
    return json.loads((folder / "artifacts" / "task-1" / "run.json").read_text())


def test_a_training_tells_each_window_and_what_the_models_lean_on(tmp_path: Path) -> None:
    result, details = training()
    page = published(tmp_path, result, details, Kind.TRAINING)
    data = data_of(page)
    assert ["&-s_close rmse", "&-s_close mae", "train_rows", "fit_seconds"] == data["metrics"]
    assert len(data["windows"]) == 12
    assert data["windows"][0][2] == [0.01, 0.008, 1_000, 0.5]
    assert f"{20 / 210 * 100:.1f} %" in page
    record = record_of(tmp_path)
    assert record["numbers"]["&-s_close rmse"] == pytest.approx(sum(row["test"]["&-s_close"]["rmse"] for row in result["windows"]) / 12)
    assert record["hashes"]["model"] == "e" * 64


def test_a_training_without_a_hold_out_has_a_page(tmp_path: Path) -> None:
    result, details = training()
    for row in (*result["windows"], *details["windows"]):
        row["test"] = None
    assert data_of(published(tmp_path, result, details, Kind.TRAINING))["metrics"] == ["train_rows", "fit_seconds"]


def test_the_page_counts_windows_that_the_result_does_not_list(tmp_path: Path) -> None:
    result, details = training()
    published(tmp_path, result | {"windows": result["windows"][:1]}, details, Kind.TRAINING)
    assert record_of(tmp_path)["numbers"]["windows"] == 12


def test_ten_thousand_windows_fit(tmp_path: Path) -> None:
    result, details = training(pairs=500, windows=20)
    page = published(tmp_path, result, details, Kind.TRAINING)
    assert len(page.encode()) < 1_000_000
    assert "9500 more are in windows.json" in page


def test_a_hyperopt_tells_its_epochs_and_the_best(tmp_path: Path) -> None:
    result, details = hyperopt()
    data = data_of(page := published(tmp_path, result, details, Kind.HYPEROPT))
    assert len(data["losses"]) == len(data["points"]) == 60 - 7
    assert min(loss for _, loss in data["losses"]) == pytest.approx(result["best"]["loss"], rel=1e-5)
    assert "buy.buy_rsi" in page
    assert "7 epochs had too few trades" in page
    assert record_of(tmp_path)["numbers"]["profit_total"] == result["best"]["metrics"]["profit_total"]


def test_a_hyperopt_that_found_nothing_has_a_page(tmp_path: Path) -> None:
    result, details = hyperopt(epochs=0)
    assert "no epoch had a loss" in published(tmp_path, result, details, Kind.HYPEROPT)


@pytest.mark.parametrize(("kind", "made"), [(Kind.TRAINING, training), (Kind.HYPEROPT, hyperopt)])
def test_their_texts_stay_texts(tmp_path: Path, kind: Kind, made: Any) -> None:
    result, details = made()
    result |= {"timerange": EVIL, "identifier": EVIL, "labels": [EVIL], "spaces": [EVIL]}
    for window in result.get("windows", []):
        window["pair"] = EVIL
        window["test"] = {EVIL: {"rmse": 0.5}}
    for epoch in result.get("best_epochs", []):
        epoch["params"] = {EVIL: EVIL}
    evil = Elements(published(tmp_path / "evil", result, details, kind))
    plain_result, plain_details = made()
    plain = Elements(published(tmp_path / "plain", plain_result, plain_details, kind))
    assert evil.names.count("script") == plain.names.count("script")
    assert "onerror" not in evil.attributes
