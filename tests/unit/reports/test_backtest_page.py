"""The page of a backtest: in one small file, with its texts as texts, and never in the way of the numbers."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.unit.reports.results import backtest, job_of
from workers.reports import Kind, publish

EVIL = "</script><script>alert(1)</script><!-- \u2028 \ud800 <img src=x onerror=alert(1)>"


class Elements(HTMLParser):
    """The elements of a page, and what its scripts hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: set[str] = set()
        self.scripts: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script":
            self.scripts[-1] += data


def published(folder: Path, result: dict[str, Any], details: dict[str, Any], kind: Kind = Kind.BACKTEST) -> str:
    artifacts = publish(job_of(folder), kind=kind, result=result, details=lambda: details)
    assert "report_error" not in result
    assert ["report.html", "run.json"] == [item["name"] for item in artifacts]
    assert result["report"] == artifacts[0]["uri"]
    return (folder / "artifacts" / "task-1" / "report.html").read_text()


def data_of(page: str) -> Any:
    return json.loads(Elements(page).scripts[0])


def test_the_page_of_a_hundred_pairs_and_five_thousand_trades_is_under_a_megabyte(tmp_path: Path) -> None:
    result, details = backtest(pairs=100, trades=5_000, drawn=8)
    page = published(tmp_path, result, details)
    assert len(page.encode()) < 1_000_000
    data = data_of(page)
    assert len(data["candles"]) >= 4
    left_out = re.search(r"won or lost most; (\d+) are left out", page)
    assert len(data["trades"]["pair"]) + (int(left_out[1]) if left_out else 0) == 5_000
    assert f"{100 - len(data['candles'])} pairs with fewer trades aren't drawn" in html.unescape(page)


def test_even_fifty_thousand_trades_fit(tmp_path: Path) -> None:
    result, details = backtest(pairs=4, trades=50_000, drawn=4)
    page = published(tmp_path, result, details)
    assert len(page.encode()) < 1_000_000
    assert data_of(page)["equity"][-1][1] == pytest.approx(result["final_balance"])


def test_texts_of_a_strategy_stay_texts(tmp_path: Path) -> None:
    result, details = backtest(EVIL, timerange=EVIL)
    for trade in details["trades"]:
        trade["enter_tag"] = trade["exit_reason"] = EVIL
    details["config"]["note"] = details["parameters"]["p"] = EVIL
    result["exit_reasons"][0]["exit_reason"] = result["config"]["ignored"][EVIL] = EVIL
    result["manifest"]["code"][EVIL] = EVIL
    plain = Elements(published(tmp_path / "plain", *backtest()))
    evil = Elements(published(tmp_path / "evil", result, details))
    assert evil.names.count("script") == plain.names.count("script")
    assert evil.names.count("img") == 0
    assert "onerror" not in evil.attributes
    assert evil.scripts[1:] == plain.scripts[1:], "only the data differs"
    assert EVIL.replace("\ud800", "?") in json.loads(evil.scripts[0])["trades"]["texts"]


def test_a_page_asks_nobody_for_anything(tmp_path: Path) -> None:
    elements = Elements(published(tmp_path, *backtest()))
    assert {"link", "script"} & set(elements.names)
    assert {"../index.html", "data:,", "https://github.com/leeoniya/uPlot"} == set(elements.addresses), (
        "nothing is fetched, and two links are offered"
    )


def test_the_months_add_up_to_the_profit(tmp_path: Path) -> None:
    result, details = backtest(trades=2_000)
    page = published(tmp_path, result, details)
    [year] = re.findall(r'<tr><th scope="row">2026</th>(.*?)</tr>', page, flags=re.DOTALL)
    [total] = re.findall(r'<td class="num gain">\+([\d,.]+)</td>$', year.strip(), flags=re.MULTILINE)
    assert float(total.replace(",", "")) == pytest.approx(result["profit_total_abs"], abs=0.01)


def test_a_backtest_without_a_trade_has_a_page(tmp_path: Path) -> None:
    result, details = backtest(trades=0, drawn=0)
    result |= {"sharpe": None, "profit_factor": None, "winrate": None}
    assert "The strategy made no trade in this range." in published(tmp_path, result, details)


def test_the_record_holds_the_row_for_the_index(tmp_path: Path) -> None:
    result, details = backtest()
    published(tmp_path, result, details)
    record = json.loads((tmp_path / "artifacts" / "task-1" / "run.json").read_text())
    assert record["numbers"]["profit_total"] == result["profit_total"]
    assert record["config"]["exchange.name"] == '"binance"'
    assert record["hashes"]["config"] == "b" * 64
    assert record["curve"][-1][1] == pytest.approx(result["profit_total"])


@pytest.mark.parametrize("broken", ["details", "page"])
def test_a_page_that_cannot_be_drawn_fails_no_job(tmp_path: Path, broken: str) -> None:
    result, details = backtest()

    def gather() -> dict[str, Any]:
        if broken == "details":
            raise KeyError("candles")
        return details | {"enter_tags": 3}

    artifacts = publish(job_of(tmp_path), kind=Kind.BACKTEST, result=result, details=gather)
    assert result["report"] is None
    assert ("KeyError" if broken == "details" else "TypeError") in result["report_error"]
    assert [item["name"] for item in artifacts] == ([] if broken == "details" else ["run.json"]), "the index tells the numbers all the same"
