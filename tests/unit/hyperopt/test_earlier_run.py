"""What a later run of a hyperopt's job takes over from the one before it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workers.hyperopt.earlier_run import EarlierRun

INPUTS = {"code": {"a.py": "1"}}


def run(folder: Path, *params: dict[str, object], torn: bool = False, random_state: int = 5, inputs: dict[str, object] | None = None) -> EarlierRun:
    """A run that finishes these epochs, and may be killed while it writes one more."""
    results = folder / "results"
    earlier = EarlierRun(folder, results)
    results.mkdir(exist_ok=True)
    earlier.begin(earlier.random_state or random_state, inputs or INPUTS)
    lines = [json.dumps({"params_dict": each, "loss": 1.5}) for each in params] + ['{"params_dict": {"n":'] * torn
    (results / "strategy_A.fthypt").write_text("\n".join(lines))
    return earlier


def test_first_run_has_nothing(tmp_path: Path) -> None:
    earlier = EarlierRun(tmp_path, tmp_path / "results")
    assert earlier.random_state is None
    assert earlier.begin(1, INPUTS) == 0
    assert earlier.epoch({"n": 1}) is None
    assert earlier.used == 0


def test_epochs_are_found_by_their_parameters_and_each_once(tmp_path: Path) -> None:
    run(tmp_path, {"n": 1, "x": 0.1}, {"n": 2, "x": None}, torn=True)
    earlier = EarlierRun(tmp_path, tmp_path / "results")
    assert earlier.random_state == 5
    assert earlier.begin(5, INPUTS) == 2
    assert earlier.epoch({"x": 0.1, "n": 1}) == {"params_dict": {"n": 1, "x": 0.1}, "loss": 1.5}
    assert earlier.epoch({"x": 0.1, "n": 1}) is None
    assert earlier.epoch({"x": None, "n": 2}) is not None
    assert earlier.used == 2


@pytest.mark.parametrize(("random_state", "inputs"), [(6, INPUTS), (5, {"code": {"a.py": "2"}})])
def test_epochs_of_other_inputs_are_no_use(tmp_path: Path, random_state: int, inputs: dict[str, object]) -> None:
    run(tmp_path, {"n": 1})
    assert EarlierRun(tmp_path, tmp_path / "results").begin(random_state, inputs) == 0
    assert EarlierRun(tmp_path, tmp_path / "nothing").begin(5, INPUTS) == 0, "they were removed"


def test_run_that_was_lost_while_it_took_over_loses_none(tmp_path: Path) -> None:
    run(tmp_path, {"n": 1}, {"n": 2}, {"n": 3})
    run(tmp_path, {"n": 1})
    assert EarlierRun(tmp_path, tmp_path / "results").begin(5, INPUTS) == 3


def test_notes_that_were_torn_count_as_none(tmp_path: Path) -> None:
    run(tmp_path, {"n": 1})
    (tmp_path / "earlier_run.json").write_text('{"random')
    earlier = EarlierRun(tmp_path, tmp_path / "results")
    assert earlier.random_state is None
    assert earlier.begin(5, INPUTS) == 0
