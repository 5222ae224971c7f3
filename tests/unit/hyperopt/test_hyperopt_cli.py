"""`python -m workers hyperopt check`, and what travels of a hyperopt's config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tasks.hyperopt import run_hyperopt_task
from workers.errors import BadRequest
from workers.freqtrade.config.keys import CONFIG, HYPEROPT, LOOKAHEAD, RECURSIVE, Section
from workers.freqtrade.config.policy import judge
from workers.hyperopt.cli import cli

OWN = {"hyperopt_loss": "SharpeHyperOptLoss", "epochs": 5, "spaces": ["buy"], "hyperopt_jobs": 2, "hyperopt_random_state": 1, "early_stop": 20}


def test_check_uses_what_a_backtest_ignores(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(OWN | {"export": "trades", "hyperopt_path": "/S3CRET"}))
    result = CliRunner(env={"COLUMNS": "160"}).invoke(cli, ["check", "--config", str(file)])
    assert result.exit_code == 1
    for line in (*((key, "used") for key in OWN), ("export", "ignored"), ("hyperopt_path", "refused")):
        assert any(all(word in row for word in line) for row in result.output.splitlines()), line
    assert "S3CRET" not in result.output


def test_a_backtest_still_ignores_it() -> None:
    assert set(judge(OWN).ignored) == set(OWN)
    assert judge(OWN, HYPEROPT).clean == OWN


@pytest.mark.parametrize("section", [HYPEROPT, LOOKAHEAD, RECURSIVE])
def test_no_key_has_two_meanings(section: Section) -> None:
    tables = [set(section.used), set(section.sections), set(section.refused), set(section.ignored) | (set(section.rules) - {"hyperopt_loss"})]
    assert sum(map(len, tables)) == len(set().union(*tables))
    assert set().union(*tables, section.rules) == {*CONFIG.used, *CONFIG.sections, *CONFIG.refused, *CONFIG.ignored, *CONFIG.rules}


@pytest.mark.parametrize(
    ("value", "fits"), [(1, True), (100_000, True), (0, False), (100_001, False), (True, False), (1.0, False), ("1", False), ([1], False)]
)
def test_whole_numbers(value: object, *, fits: bool) -> None:
    assert ("epochs" in judge({"epochs": value}, HYPEROPT).clean) is fits


@pytest.mark.parametrize(("value", "fits"), [([199, 399], True), ([], False), ([0], False), ([1, "2"], False), (199, False)])
def test_lists_of_whole_numbers(value: object, *, fits: bool) -> None:
    assert ("startup_candle" in judge({"startup_candle": value}, RECURSIVE).clean) is fits


def test_the_task_sends_the_keys_of_a_hyperopt() -> None:
    sent = run_hyperopt_task.fit(OWN | {"telegram": {"token": "S3CRET"}, "export": "trades"})
    assert sent == OWN | {"telegram": None, "export": None}
    with pytest.raises(BadRequest, match="hyperopt_loss: must be a plain name"):
        run_hyperopt_task.fit({"hyperopt_loss": "../S3CRET"})
