"""Strategies are found by reading their files; none is run for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.errors import BadRequest, DataMissing
from workers.freqtrade.strategies import find_strategy, import_strategy, strategy_names


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "one.py").write_text("raise SystemExit\nclass One(IStrategy):\n    pass\n")
    (tmp_path / "two.py").write_text("from one import One\nclass Two(One):\n    def populate_indicators(self): ...\nclass Helper:\n    pass\n")
    (tmp_path / "broken.py").write_text("class Broken(IStrategy:\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "three.py").write_text("class Three(freqtrade.strategy.IStrategy):\n    pass\n")
    return tmp_path


def test_names(folder: Path) -> None:
    assert strategy_names(folder) == {"One": folder / "one.py", "Two": folder / "two.py"}
    assert set(strategy_names(folder, recursive=True)) == {"One", "Two", "Three"}


def test_finding_one(folder: Path) -> None:
    assert find_strategy("Two", [folder]) == folder / "two.py"
    assert find_strategy("Three", [folder], recursive=True) == folder / "deep" / "three.py"


def test_unknown_one_lists_those_that_exist(folder: Path) -> None:
    with pytest.raises(BadRequest, match="no strategy 'Four' on this worker; those that exist: One, Two"):
        find_strategy("Four", [folder])


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="FREQTRADE_STRATEGIES: no such folder"):
        find_strategy("One", [tmp_path / "nowhere"])


def test_importing_a_broken_one_raises_its_own_error(folder: Path) -> None:
    with pytest.raises(SyntaxError):
        import_strategy(folder / "broken.py")
