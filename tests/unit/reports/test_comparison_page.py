"""The page of a comparison links the pages of this store, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.reports.results import backtest, job_of
from tests.unit.reports.test_backtest_page import Elements
from workers.backtesting.compare_params import CompareParams
from workers.backtesting.comparing import compare
from workers.reports import Kind, publish

NOWHERE = {"../index.html", "data:,", "https://github.com/leeoniya/uPlot"}


def compared(folder: Path, **row: Any) -> Elements:
    params = CompareParams.model_validate({"rows": [{"task_id": "other", "strategy": "EmaCross", "profit_total": 0.1} | row]})
    result = compare(job_of(folder, "compare"), params)
    assert "report_error" not in result
    return Elements((folder / "artifacts" / "compare" / "report.html").read_text())


def test_a_run_is_linked_where_its_page_is_also_one_whose_result_was_reused(tmp_path: Path) -> None:
    result, details = backtest()
    publish(job_of(tmp_path, "earlier"), kind=Kind.BACKTEST, result=result, details=lambda: details)
    page = compared(tmp_path, task_id="later", report=result["report"])
    assert NOWHERE | {"../earlier/report.html"} == set(page.addresses)
    [curve] = json.loads(page.scripts[0])["curves"]
    assert curve["points"][-1][1] == pytest.approx(result["profit_total"])


@pytest.mark.parametrize(
    "report",
    [
        None,
        "javascript:alert(1)",
        "https://example.org/report.html",
        "{store}/../../report.html",
        "{store}/a b/report.html",
        "{store}/report.html",
        "{store}",
    ],
)
def test_no_other_address_is(tmp_path: Path, report: str | None) -> None:
    store = job_of(tmp_path).artifacts.url
    assert NOWHERE == set(compared(tmp_path, report=report and report.format(store=store)).addresses)


def test_failed_runs_alone_have_a_page(tmp_path: Path) -> None:
    page = compared(tmp_path, error={"type": "BadRequest", "message": "timerange: no"})
    assert "table" in page.names
