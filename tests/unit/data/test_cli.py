"""`python -m workers data markets` and `list`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from workers.data.cli import cli


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.setenv("FREQTRADE_USER_DATA", str(tmp_path))
    return CliRunner(env={"COLUMNS": "160"})


def test_show_without_a_snapshot_says_what_follows(runner: CliRunner) -> None:
    result = runner.invoke(cli, ["markets", "show"])
    assert result.exit_code == 0
    assert "synthetic_markets" in result.output


def test_a_bad_download_is_told_before_anything_starts(runner: CliRunner) -> None:
    result = runner.invoke(cli, ["download", "-p", "BTC/USDT", "-t", "5 minutes"])
    assert "timeframes.0" in str(result.exception)
