"""What a result depends on: each kind of change is noticed, also of what wasn't there."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workers.freqtrade.inputs import Inputs, changed, files_below


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "strategies"
    (folder / "lib").mkdir(parents=True)
    (folder / "a.py").write_text("A = 1\n")
    (folder / "lib" / "b.py").write_text("B = 1\n")
    (folder / "unused.py").write_text("")
    return folder


@pytest.fixture
def taken(folder: Path) -> Any:
    """As a record holds it."""
    inputs = Inputs((folder,)).taken([folder / "a.py", folder / "lib" / "b.py", folder.parent / "markets.json"])
    return json.loads(json.dumps(inputs))


def test_nothing_changed(taken: Any, folder: Path) -> None:
    os.utime(folder / "a.py")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_text("")
    (folder / "unused.py").write_text("# edited, and nobody read it\n")
    assert changed(taken) is None


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda folder: (folder / "a.py").write_text("A = 2\n"), "/a.py"),
        (lambda folder: (folder / "lib" / "b.py").write_text("B = 2\n"), "/lib/b.py"),
        (lambda folder: (folder / "lib" / "b.py").unlink(), "the files in"),
        (lambda folder: (folder / "a.json").write_text("{}"), "the files in"),
        (lambda folder: (folder / "unused.py").rename(folder / "used.py"), "the files in"),
        (shutil.rmtree, "the files in"),
        (lambda folder: (folder.parent / "markets.json").write_text("{}"), "/markets.json"),
    ],
)
def test_each_change_is_named(taken: Any, folder: Path, change: Callable[[Path], Any], what: str) -> None:
    change(folder)
    assert what in str(changed(taken))


def test_other_versions_are_a_change(taken: Any) -> None:
    taken["versions"]["python"] = "3.10.0"
    assert changed(taken) == "the versions"


@pytest.mark.parametrize("record", [None, [], {}, {"files": [], "names": {}, "versions": {}}])
def test_what_is_no_record_is_a_change(record: Any) -> None:
    assert changed(record) is not None


def test_a_file_that_the_process_opens_is_an_input_and_those_of_the_job_are_not(folder: Path, tmp_path: Path) -> None:
    inputs = Inputs((folder,), not_inputs=(tmp_path / "job",))
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "config.json").write_text("{}")
    (tmp_path / "job" / "config.json").read_text()
    with (folder / "unused.py").open() as opened:
        opened.read()
    with pytest.raises(FileNotFoundError):
        (folder / "missing.csv").read_text()
    taken = inputs.taken([])
    assert taken is not None
    assert taken["files"][str(folder / "unused.py")] is not None
    assert taken["files"][str(folder / "missing.csv")] is None
    assert not [name for name in taken["files"] if "/job/" in name]


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "a.py").write_text("A = 2\n"),
        lambda folder: os.utime(folder / "lib" / "b.py"),
        lambda folder: (folder / "new.py").write_text(""),
        lambda folder: (folder.parent / "markets.json").write_text("{}"),
    ],
)
def test_what_changes_meanwhile_makes_them_unknown(folder: Path, change: Callable[[Path], Any]) -> None:
    inputs = Inputs((folder,))
    change(folder)
    assert inputs.taken([folder / "a.py", folder / "lib" / "b.py", folder.parent / "markets.json"]) is None


def test_links_in_circles_end(tmp_path: Path) -> None:
    (tmp_path / "strategy.py").write_text("")
    for name in ("again", "and_again"):
        (tmp_path / name).symlink_to(tmp_path, target_is_directory=True)
    assert list(files_below(tmp_path)) == [f"{tmp_path}/strategy.py"]
