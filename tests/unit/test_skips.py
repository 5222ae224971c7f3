"""In CI an unexpected skip fails the session: each case is a pytest run of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import skips

REPOSITORY = Path(__file__).parents[2]
CONFTEST = """
from pathlib import Path
from tests import skips
def pytest_configure(config):
    skips.register(config, Path(__file__).with_name("allowed_skips.txt"))
"""
SKIPPING = """
import pytest
def test_skips():
    pytest.skip("no real candles here")
def test_runs():
    pass
"""


def run(folder: Path, tests: str, allowed: str, *, ci: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "allowed_skips.txt").write_text(allowed)
    (folder / "test_it.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:celery", "--rootdir", str(folder), str(folder)]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_skip_fails_ci(tmp_path: Path) -> None:
    done = run(tmp_path, SKIPPING, "", ci="true")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "test_it.py::test_skips: Skipped: no real candles here" in done.stdout
    assert "1 passed, 1 skipped" in done.stdout


def test_a_skipped_module_fails_ci(tmp_path: Path) -> None:
    done = run(tmp_path, "import pytest\npytest.importorskip('no_such_module')\ndef test(): pass", "", ci="true")
    assert done.returncode != pytest.ExitCode.OK, done.stdout
    assert "unexpected skips" in done.stdout


def test_a_laptop_may_skip(tmp_path: Path) -> None:
    assert run(tmp_path, SKIPPING, "", ci="").returncode == pytest.ExitCode.OK


def test_an_allowed_skip_passes(tmp_path: Path) -> None:
    done = run(tmp_path, SKIPPING, "real candles  # the folder is not part of the repository", ci="true")
    assert done.returncode == pytest.ExitCode.OK, done.stdout


def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    done = run(tmp_path, "import pytest\n@pytest.mark.xfail\ndef test(): assert 0\ndef test_ok(): pass", "", ci="true")
    assert done.returncode == pytest.ExitCode.OK, done.stdout


def test_an_allowed_skip_needs_an_explanation(tmp_path: Path) -> None:
    (tmp_path / "allowed.txt").write_text("# a comment\nreal candles\n")
    with pytest.raises(pytest.UsageError, match=r"allowed\.txt:2: .*explanation"):
        skips.read_allowed(tmp_path / "allowed.txt")
