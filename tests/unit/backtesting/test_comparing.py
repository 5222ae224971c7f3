"""Finished backtests are ranked, and those that failed are listed with their errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import workers.backtesting  # noqa: F401 - registers the handlers
from workers.artifacts import ArtifactStore
from workers.backtesting.compare_params import CompareParams
from workers.backtesting.comparing import compare
from workers.errors import BadRequest
from workers.handlers import HANDLERS
from workers.job import Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(id="compare-1", type="backtest.compare", directory=tmp_path / "job", artifacts=ArtifactStore(str(tmp_path / "artifacts")))


def row(name: str, **numbers: Any) -> dict[str, Any]:
    return {"task_id": f"task-{name}", "label": name, "strategy": "EmaCross"} | numbers


ROWS = [
    row("middle", profit_total=0.02, max_drawdown_account=0.30, sharpe=None),
    row("failed", error={"type": "BadRequest", "message": "timerange: no", "traceback": "..."}),
    row("none", profit_total=None, max_drawdown_account=None),
    row("best", profit_total=0.05, max_drawdown_account=0.20, sharpe=1.5),
    row("worst", profit_total=-0.01, max_drawdown_account=0.10, sharpe=-2.0),
]


@pytest.mark.parametrize(
    ("sort_by", "order"),
    [
        ("profit_total", ["best", "middle", "worst", "none"]),
        ("max_drawdown_account", ["worst", "best", "middle", "none"]),
        ("sharpe", ["best", "worst", "middle", "none"]),
    ],
)
def test_the_best_come_first_and_what_has_no_number_last(job: Job, sort_by: str, order: list[str]) -> None:
    result = compare(job, CompareParams.model_validate({"rows": ROWS, "sort_by": sort_by}))
    assert order == [item["label"] for item in result["ranking"]]
    assert sort_by == result["sort_by"]


def test_failed_runs_are_listed_with_their_errors(job: Job) -> None:
    result = compare(job, CompareParams.model_validate({"rows": ROWS}))
    [failed] = result["failed"]
    assert {"type": "BadRequest", "message": "timerange: no"} == failed["error"]
    assert failed["task_id"] == "task-failed"


def test_a_whole_result_may_be_sent_as_a_row(job: Job) -> None:
    whole = row("whole", profit_total=0.1, pairs=[{"pair": "BTC/USDT"}], manifest={"config": "abc"})
    [ranked] = compare(job, CompareParams.model_validate({"rows": [whole]}))["ranking"]
    assert ranked["profit_total"] == 0.1
    assert "pairs" not in ranked


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"rows": []}, "rows"),
        ({"rows": [row("a")], "sort_by": "luck"}, "sort_by"),
        ({"rows": [row("a", profit_total=float("nan"))]}, "rows.0.profit_total"),
        ({"rows": [{"label": "no id"}]}, "rows.0.task_id"),
    ],
)
def test_bad_data_is_named(data: dict[str, Any], key: str) -> None:
    with pytest.raises(BadRequest, match=key):
        HANDLERS["backtest.compare"].parse(data)
