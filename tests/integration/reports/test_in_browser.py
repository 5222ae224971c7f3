"""The pages in a real browser without a network: on a wide screen and on a phone, light and dark."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.unit.reports import results
from tests.unit.reports.test_backtest_page import EVIL
from workers.backtesting.compare_params import CompareParams
from workers.backtesting.comparing import compare
from workers.reports import Kind, publish

pytestmark = pytest.mark.slow

SCREENS = [pytest.param(1280, "light", id="wide, light"), pytest.param(390, "dark", id="phone, dark")]
MOVES = """
    window.moved = 0;
    window.what = [];
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) {
            window.moved += entry.value;
            window.what.push(...entry.sources.map((source) => `${source.node?.nodeName} ${source.node?.id}`));
        }
    }).observe({type: 'layout-shift', buffered: true});
"""
PAGES = ["index.html", "ema/report.html", "evil/report.html", "many/report.html", "compare/report.html", "train/report.html", "hyper/report.html"]


@dataclass
class Opened:
    """A page, and what it did that it shouldn't."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).first.inner_text()

    def column(self, table: str, place: int) -> list[str]:
        return [cell.strip() for cell in self.page.locator(f"{table} tbody tr > :nth-child({place})").all_inner_texts()]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact store with a run of each kind."""
    folder = tmp_path_factory.mktemp("farm")
    rows = []
    for task, strategy, changes in (
        ("ema", "EmaCross", dict[str, str]()),
        ("rsi", "RsiReversion", {"timeframe": "1h"}),
        ("many", "BusyBee", {}),
        ("evil", EVIL, {}),
    ):
        size: dict[str, Any] = {"pairs": 100, "trades": 5_000, "drawn": 8} if task == "many" else {"trades": 30 + 10 * len(task)}
        result, details = results.backtest(strategy, **size)
        result |= changes
        details["config"]["stake_amount"] = 50 * len(task)
        if task == "evil":
            for trade in details["trades"]:
                trade["enter_tag"] = trade["exit_reason"] = EVIL
        publish(results.job_of(folder, task), kind=Kind.BACKTEST, result=result, details=lambda details=details: details)  # type: ignore[misc]
        assert "report_error" not in result
        (folder / f"{task}.json").write_text(json.dumps(result))
        name = strategy.replace("\ud800", "")  # no command can hold half a surrogate pair
        whole = result | {"task_id": task, "label": name, "strategy": name, "config_diff": {"stake_amount": 50 * len(task)}}
        rows.append(whole)
    rows.append({"task_id": "bad", "label": "bad", "strategy": "EmaCross", "error": {"type": "BadRequest", "message": EVIL.replace("\ud800", "")}})
    compared = compare(results.job_of(folder, "compare"), CompareParams.model_validate({"title": "Four", "rows": rows}))
    assert "report_error" not in compared
    for task, kind, (result, details) in (("train", Kind.TRAINING, results.training()), ("hyper", Kind.HYPEROPT, results.hyperopt())):
        publish(results.job_of(folder, task), kind=kind, result=result, details=lambda details=details: details)  # type: ignore[misc]
        assert "report_error" not in result
    return folder


def opened(browser: Browser, store: Path, name: str, width: int = 1280, scheme: Any = "light") -> Opened:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = context.new_page()
    found = Opened(page)
    address = (store / "artifacts" / name).as_uri()
    page.on("console", lambda message: found.said.append(message.text))
    page.on("pageerror", lambda error: found.said.append(str(error)))
    page.on("dialog", lambda dialog: found.said.append(dialog.message))
    page.on("request", lambda request: found.asked.append(request.url) if request.url not in {address, "data:,"} else None)
    page.add_init_script(MOVES)
    page.goto(address)
    page.wait_for_function("document.readyState === 'complete'")
    return found


@pytest.mark.parametrize(("width", "scheme"), SCREENS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_quiet_fits_and_stands_still(browser: Browser, store: Path, name: str, width: int, scheme: str) -> None:
    found = opened(browser, store, name, width, scheme)
    found.page.wait_for_timeout(300)  # what a page would do late
    assert ([], []) == (found.said, found.asked)
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    assert found.page.evaluate("window.moved") < 0.02, found.page.evaluate("window.what")
    drawn = "[...document.querySelectorAll('.plot')].filter(p => p.offsetParent).map(p => { const c = p.querySelector('canvas'); return c !== null && c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v > 0) })"
    assert all(found.page.evaluate(drawn))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(browser: Browser, store: Path, scheme: str) -> None:
    found = opened(browser, store, "ema/report.html", scheme=scheme)
    ratios = found.page.evaluate("""() => {
        const light = (name) => {
            const probe = document.body.appendChild(Object.assign(document.createElement('i'), {style: `color: var(--${name})`}));
            const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
        };
        const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        return [['fg', 'card'], ['muted', 'card'], ['muted', 'bg'], ['gain', 'card'], ['loss', 'card'], ['warn', 'warn-bg']].map(([a, b]) => ratio(light(a), light(b)));
    }""")
    assert len(ratios) == 6
    assert min(ratios) >= 4.5, "the least that WCAG's level AA asks of small text"


def test_the_numbers_of_a_backtest_are_its_results(browser: Browser, store: Path) -> None:
    found, result = opened(browser, store, "ema/report.html"), json.loads((store / "ema.json").read_text())
    tiles = dict(zip(found.page.locator(".tile dt").all_inner_texts(), found.page.locator(".tile dt + dd").all_inner_texts(), strict=True))
    assert tiles["Profit"] == f"{result['profit_total'] * 100:+.2f} %".replace("-", "−")
    assert tiles["Largest drawdown"] == "4.32 %"
    assert tiles["Trades"] == str(result["total_trades"])
    assert tiles["Final balance"] == f"{result['final_balance']:,.2f} USDT"
    assert f"{result['final_balance']:,.2f} USDT" in found.text("#equity-readout")
    pairs = found.column("section[aria-label=Pairs] table", 4)
    assert [float(text.replace("−", "-")) for text in pairs] == [pytest.approx(row["profit_total_abs"], abs=0.0051) for row in result["pairs"]]


def test_trades_are_sorted_and_shown_in_portions(browser: Browser, store: Path) -> None:
    found = opened(browser, store, "ema/report.html")
    assert len(found.column("#trades", 1)) == 25
    found.page.locator("#more-trades").click()
    assert len(found.column("#trades", 1)) == json.loads((store / "ema.json").read_text())["total_trades"]
    found.page.get_by_role("button", name="Profit USDT").last.click()
    shown = [float(text.replace("−", "-")) for text in found.column("#trades", 8)]
    assert shown == sorted(shown, reverse=True)


def test_candles_are_of_the_chosen_pair_and_can_be_zoomed_without_a_mouse_drag(browser: Browser, store: Path) -> None:
    found = opened(browser, store, "ema/report.html")
    span = "chart.scales.x.max - chart.scales.x.min"
    whole = found.page.evaluate(span)
    found.page.locator("#closer").click()
    found.page.wait_for_function(f"Math.abs(({span}) / {whole} - 0.5) < 0.01")
    found.page.locator("#whole").click()
    found.page.wait_for_function(f"Math.abs(({span}) / {whole} - 1) < 0.01")
    found.page.locator("#pair").select_option(index=1)
    assert "COIN1/USDT" in found.text("#candles-section h3")
    assert found.said == []


def test_the_index_sorts_and_filters(browser: Browser, store: Path) -> None:
    found = opened(browser, store, "index.html")
    assert len(found.column("#runs", 2)) == 7
    found.page.get_by_role("button", name="Profit", exact=True).click()
    shown = [float(text.replace("−", "-").rstrip(" %")) for text in found.column("#runs", 3) if text != "–"]
    assert shown == sorted(shown, reverse=True)
    found.page.locator("#kind").select_option("training")
    assert found.column("#runs", 12) == ["training"]
    found.page.locator("#kind").select_option("")
    found.page.locator("#text").fill("rsirev 1H")
    assert found.column("#runs", 2)[0].startswith("RsiReversion 1h")
    assert "1 of 7 runs" in found.text("#summary")
    found.page.locator("#text").fill("no such run")
    assert found.page.locator("#empty").is_visible()
    found.page.locator("#text").fill("")
    found.page.locator("#strategy").select_option("EmaCross")
    found.page.locator("#since").select_option("1")
    assert len(found.column("#runs", 2)) == 3, "the backtest, the hyperopt and the training"
    assert {"EmaCross"} == {title.split()[0] for title in found.column("#runs", 2)}


def test_selected_runs_are_compared_side_by_side(browser: Browser, store: Path) -> None:
    found = opened(browser, store, "index.html")
    assert not found.page.locator("#compare").is_visible()
    found.page.get_by_label("Compare EmaCross 5m").check()
    found.page.get_by_label("Compare RsiReversion 1h").check()
    rows = {row[0]: row[1:] for row in (line.split("\t") for line in found.text("#compared tbody").splitlines())}
    ema, rsi = (json.loads((store / f"{task}.json").read_text()) for task in ("ema", "rsi"))
    assert [text.rstrip(" ★") for text in rows["Profit"]] == [f"{result['profit_total'] * 100:+.2f} %" for result in (ema, rsi)]
    assert rows["timeframe"] == ["5m", "1h"]
    assert "stake_amount" not in rows, "it is the same in both"
    found.page.get_by_label("only config that differs").uncheck()
    assert "exchange.name" in found.text("#compared")
    assert "EmaCross" in found.text("#overlay-legend")
    found.page.locator("#clear").click()
    assert not found.page.locator("#compare").is_visible()
    assert found.said == []


def test_each_run_of_the_index_and_of_a_comparison_is_a_link(browser: Browser, store: Path) -> None:
    found = opened(browser, store, "index.html")
    found.page.get_by_role("link", name="Four").click()
    found.page.get_by_role("link", name="RsiReversion").first.click()
    assert found.text("h1") == "RsiReversion"
    found.page.get_by_role("link", name="All runs").click()
    assert found.text("h1") == "Runs"


def test_two_thousand_runs_are_usable(browser: Browser, store: Path, tmp_path: Path) -> None:
    from tests.unit.reports.test_index import RECORD
    from workers.reports.index_page import index_page, index_row
    from workers.reports.record import RunRecord

    (tmp_path / "artifacts").mkdir()
    rows = {f"task-{place}": index_row(RunRecord.model_validate(RECORD | {"strategy": f"S{place % 40}"})) for place in range(2_000)}
    (tmp_path / "artifacts" / "index.html").write_bytes(index_page(rows))
    found = opened(browser, tmp_path, "index.html")
    took = found.page.evaluate(
        "() => { const began = performance.now(); document.getElementById('text').value = 's39'; choose(); document.body.offsetHeight; return performance.now() - began }"
    )
    assert took < 500, "milliseconds for a key press"
    assert "50 of 2,000 runs" in found.text("#summary")
