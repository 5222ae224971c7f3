"""`make demo-all`: a comparison of strategies, a FreqAI training and a backtest with its model, a hyperopt and a backtest of what it found.

All of it as Celery's canvas over three services, on this machine, from nothing; ends with the index page of all runs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from examples.demo.pages import show_index
from examples.demo.watching import Line, call_off, let_go, watch
from examples.user_data import DAYS, PAIRS, ROOT, candles_exist, example_environment
from streams.errors import BridgeSystemError
from tasks.local_stack import LocalStack

if TYPE_CHECKING:
    from celery.result import AsyncResult

FILE_WIDTH = 160
"""Columns when the output is no terminal: nothing is wrapped."""
SERVICES = ("backtesting", "freqai", "hyperopt")
COMPARED = ("BollingerBreakout", "EmaCross", "RsiReversion")
EPOCHS = 12
CONFIG: dict[str, Any] = {
    "timeframe": "5m",
    "stake_currency": "USDT",
    "stake_amount": "unlimited",
    "dry_run_wallet": 10_000,
    "max_open_trades": 3,
    "exchange": {"name": "binance", "pair_whitelist": list(PAIRS)},
}
FREQAI: dict[str, Any] = (
    CONFIG
    | {
        "recursive_strategy_search": True,  # examples/strategies/freqai
        "exchange": {"name": "binance", "pair_whitelist": list(PAIRS[:2])},
        "timerange": "20260201-20260215",
        "freqai": {
            "enabled": True,
            "train_period_days": 10,
            "backtest_period_days": 7,
            "feature_parameters": {
                "include_timeframes": ["5m", "15m"],
                "include_corr_pairlist": [],
                "label_period_candles": 12,
                "include_shifted_candles": 1,
                "indicator_periods_candles": [10, 20],
            },
            "data_split_parameters": {"test_size": 0.2, "shuffle": False},
            "model_training_parameters": {"n_estimators": 100, "seed": 1},
        },
    }
)
HYPEROPT: dict[str, Any] = CONFIG | {
    "timerange": "20260101-20260121",
    "epochs": EPOCHS,
    "spaces": ["buy", "sell"],
    "hyperopt_loss": "SharpeHyperOptLossDaily",
    "hyperopt_random_state": 1,
    "hyperopt_min_trades": 1,
}
OUT_OF_SAMPLE = "20260121-20260211"


def send() -> list[Line]:
    """Send the three canvases; a line for each job of theirs. The app reads its addresses when it is imported."""
    from tasks.research import compare_strategies, hyperopt_then_validate, train_then_backtest

    trained = train_then_backtest("FreqaiExample", "LightGBMRegressor", FREQAI).apply_async()
    optimised = hyperopt_then_validate("RsiReversion", HYPEROPT, OUT_OF_SAMPLE).apply_async()
    ranking = compare_strategies(COMPARED, CONFIG, title="The example strategies").apply_async()
    compared = [Line(f"backtest {strategy}", part) for strategy, part in zip(COMPARED, ranking.parent.results, strict=True)]
    return [
        *compared,
        Line("comparison", ranking),
        *_ends("train LightGBMRegressor", "backtest with the model", trained),
        *_ends(f"hyperopt RsiReversion, {EPOCHS} epochs", "backtest out of sample", optimised),
    ]


def _ends(first: str, last: str, result: AsyncResult) -> list[Line]:
    """The first and the last job of a chain; what is between them only hands one's result on."""
    head = result
    while head.parent is not None:
        head = head.parent
    return [Line(first, head), Line(last, result)]


def report(console: Console, lines: Sequence[Line]) -> None:
    """What came out, in one table."""
    table = Table(title="What came out", title_justify="left", box=box.ROUNDED, padding=(0, 0, 0, 1))
    table.add_column("job", no_wrap=True)
    table.add_column("result")
    table.add_column("time", justify="right", no_wrap=True)
    for line in lines:
        if line.outcome:
            table.add_row(line.label, in_words(line.outcome), f"{line.outcome.get('run_seconds', 0):.1f} s")
    console.print()
    console.print(table)
    for line in lines:
        if line.error:
            console.print(f"[red]{line.label} failed:[/red] {line.error}", soft_wrap=True, highlight=False)


def in_words(outcome: dict[str, Any]) -> str:
    """The numbers that people ask for first."""
    if "ranking" in outcome:
        return "best first: " + ", ".join(row["label"] for row in outcome["ranking"])
    if "windows" in outcome:
        return f"{outcome['windows_in_all']} windows, {outcome['features']} features"
    if "best" in outcome:
        best = outcome["best"]
        return "no epoch had enough trades" if best is None else f"best loss {best['loss']:.4g}"
    return f"profit {100 * (outcome['profit_total'] or 0):+.2f} %, {outcome['total_trades']} trades"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Compare strategies, train a FreqAI model and use it, optimise a strategy and validate it: as Celery tasks, on this machine."""
    console, home, began = Console(width=None if sys.stdout.isatty() else FILE_WIDTH), ROOT / "var" / "demo", time.monotonic()
    if not candles_exist():
        console.print(f"making {DAYS} days of candles of {', '.join(PAIRS)} (seeded, no market) ...")
    environment = example_environment()
    stack = LocalStack(home, only=("celery", "beat", "bridge", *SERVICES), concurrency=2, environment=dict.fromkeys(SERVICES, environment))
    lines: list[Line] = []
    try:
        with stack:
            os.environ.update(stack.client_environment)
            console.print("starting: a server, a Celery worker with one process, beat, the bridge, a worker each for backtests, FreqAI and hyperopt")
            console.print(f"logs: {home / 'log'}", highlight=False, soft_wrap=True)
            try:
                lines = send()
                console.print("sent: compare_strategies, train_then_backtest, hyperopt_then_validate\n")
                watch(console, stack, lines)
            except KeyboardInterrupt:
                call_off(console, lines)
                sys.exit(130)
            finally:
                let_go(lines)
    except BridgeSystemError as exc:
        console.print(f"[red]error:[/red] {exc}", highlight=False)
        sys.exit(1)
    report(console, lines)
    show_index(console, home / "artifacts" / "index.html", opened=True)
    failed = sum(1 for line in lines if line.error)
    console.print(f"{len(lines) - failed} of {len(lines)} jobs succeeded, {time.monotonic() - began:.0f} s in all.")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
