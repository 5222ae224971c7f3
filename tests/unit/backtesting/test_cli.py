"""`python -m workers backtesting check`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from workers.backtesting.cli import cli

CONFIG = """{
    // a user's own config.json
    "stake_currency": "USDT", "dry_run": true,
    "exchange": {"name": "binance", "key": "%s", "pair_whitelist": ["BTC/USDT"]},
}"""


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner(env={"COLUMNS": "160"})


def test_check_prints_the_three_lists_and_fails_for_a_refused_key(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(CONFIG % "S3CRET")
    result = runner.invoke(cli, ["check", "--config", str(file)])
    assert result.exit_code == 1
    for line in (("stake_currency", "used"), ("dry_run", "ignored"), ("exchange.key", "refused")):
        assert any(all(word in row for word in line) for row in result.output.splitlines()), line
    assert "S3CRET" not in result.output


def test_check_accepts_a_config_without_secrets(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(CONFIG % "")
    assert runner.invoke(cli, ["check", "--config", str(file)]).exit_code == 0


def test_check_says_that_a_file_is_no_json(runner: CliRunner, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text("{")
    result = runner.invoke(cli, ["check", "--config", str(file)])
    assert result.exit_code == 1
    assert "is no JSON" in result.output
