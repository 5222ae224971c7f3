"""`make demo`: real freqtrade backtests as Celery tasks, on this machine, from nothing.

Starts an embedded server, a Celery worker with one process, beat, the bridge and a backtesting worker; makes seeded candles; sends a Celery group of
backtests; shows each one's progress, then a table by profit. With `--datadir --strategies --pairs --config` the backtests are of your own.
"""

from __future__ import annotations

import ast
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from examples.demo.pages import show_index
from examples.demo.watching import Line, call_off, let_go, watch
from examples.user_data import DAYS, PAIRS, ROOT, STRATEGIES, candles_exist, datadir, example_environment
from streams.errors import BridgeSystemError
from tasks.local_stack import LocalStack

FILE_WIDTH = 160
"""Columns when the output is no terminal: nothing is wrapped."""


@dataclass(slots=True)
class Backtest(Line):
    """One line of the demo."""

    strategy: str = ""
    timeframe: str | None = None

    @classmethod
    def of(cls, strategy: str, timeframe: str | None) -> Backtest:
        """Labelled by what it is."""
        return cls(f"{strategy} {timeframe}" if timeframe else strategy, strategy=strategy, timeframe=timeframe)


def strategies_in(console: Console, folder: Path) -> list[str]:
    """Class names of the strategies of a folder, found without running them; a file that is no Python is named and left out."""
    names = []
    for file in sorted(folder.glob("*.py")):
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
        except (SyntaxError, UnicodeDecodeError) as exc:
            console.print(f"[yellow]{file} is left out:[/yellow] {exc}", highlight=False)
            continue
        names += [node.name for node in tree.body if isinstance(node, ast.ClassDef) and any("IStrategy" in ast.unparse(base) for base in node.bases)]
    return names


def plan(console: Console, strategies: Path, *, own: bool) -> list[Backtest]:
    """What is sent: our three strategies, one of them on two timeframes; or each of the user's, on its own timeframe."""
    names = strategies_in(console, strategies)
    if not names:
        raise click.UsageError(f"no strategy in {strategies}: none of its *.py files has a class derived from IStrategy")
    if own:
        return [Backtest.of(name, None) for name in names]
    return [*(Backtest.of(name, "5m") for name in names), Backtest.of(names[0], "15m")]


def config_of(backtest: Backtest, pairs: Sequence[str], exchange: str, *, own_config: bool) -> dict[str, Any]:
    """A call's config: what any freqtrade user would write, less what the user's own base config says already."""
    config: dict[str, Any] = {}
    if pairs:
        config["exchange"] = {"name": exchange, "pair_whitelist": list(pairs)}
        config["pairlists"] = [{"method": "StaticPairList"}]
    if backtest.timeframe:
        config["timeframe"] = backtest.timeframe
    if not own_config:
        config |= {
            "stake_currency": pairs[0].split("/")[1] if pairs else "USDT",
            "stake_amount": "unlimited",
            "dry_run_wallet": 10_000,
            "max_open_trades": 3,
        }
    return config


def report(console: Console, backtests: Sequence[Backtest]) -> None:
    """The table, best profit first, and where the files are."""
    done = sorted((each for each in backtests if each.outcome), key=lambda each: -(each.outcome["profit_total"] or 0.0))
    table = Table(title="Backtests by profit", title_justify="left", box=box.ROUNDED, padding=(0, 0, 0, 1))
    for name in ("strategy", "tf"):
        table.add_column(name, no_wrap=True)
    for name in ("profit", "max dd", "Sharpe", "trades", "wins", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    for each in done:
        out = each.outcome
        table.add_row(
            each.strategy,
            out["timeframe"],
            f"{100 * (out['profit_total'] or 0):+.2f} %",
            f"{100 * (out['max_drawdown_account'] or 0):.2f} %",
            f"{out['sharpe'] or 0:.2f}",
            str(out["total_trades"]),
            f"{100 * (out['winrate'] or 0):.0f} %",
            f"{out['run_seconds']:.1f} s",
        )
    console.print()
    if done:
        console.print(table)
        if any(each.outcome["synthetic_markets"] for each in done):
            console.print("Markets (precision, fees, minimum stake) were made up; where there is a network, this saves real ones:")
            console.print("  .venv/bin/python -m workers data markets refresh --exchange binance", highlight=False)
        console.print("freqtrade's own files, for FreqUI or freqtrade backtesting-show --userdir DIR --backtest-directory DIR:", highlight=False)
        for each in done:
            console.print(f"  {each.label}: {folder_of(each)}", soft_wrap=True, highlight=False)
    for each in backtests:
        if each.error:
            console.print(f"[red]{each.label} failed:[/red] {each.error}", soft_wrap=True, highlight=False)


def folder_of(backtest: Backtest) -> str:
    """Where a backtest's result files are."""
    uri: str = backtest.outcome["artifacts"][0]["uri"]
    return uri.rpartition("/")[0].removeprefix("file://")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--datadir", "candles", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Your candles (freqtrade's data/<exchange> folder)."
)
@click.option("--strategies", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Your strategies folder.")
@click.option("--pairs", help="Your pairs, separated by spaces or commas.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Your freqtrade config.json, as the trusted base."
)
@click.option("--exchange", default="binance", show_default=True)
@click.option("--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Backtests at a time.")
def main(candles: Path | None, strategies: Path | None, pairs: str | None, config_file: Path | None, exchange: str, concurrency: int) -> None:
    """Run real backtests as Celery tasks, on this machine."""
    console, home, began = Console(width=None if sys.stdout.isatty() else FILE_WIDTH), ROOT / "var" / "demo", time.monotonic()
    chosen = tuple(pairs.replace(",", " ").split()) if pairs else (() if config_file else PAIRS)
    backtests = plan(console, strategies or STRATEGIES, own=strategies is not None)
    if candles is None and not candles_exist():
        console.print(f"making {DAYS} days of candles of {', '.join(PAIRS)} (seeded, no market) ...")
    environment = (example_environment() if candles is None else {"FREQTRADE_USER_DATA": str(home / "user_data")}) | {
        "FREQTRADE_STRATEGIES": str((strategies or STRATEGIES).absolute()),
        "FREQTRADE_DATADIR": str((candles or datadir()).absolute()),
        **({"FREQTRADE_CONFIG": str(config_file.absolute())} if config_file else {}),
    }
    stack = LocalStack(home, only=("celery", "beat", "bridge", "backtesting"), concurrency=concurrency, environment={"backtesting": environment})
    try:
        with stack:
            os.environ.update(stack.client_environment)
            console.print("starting: a server, a Celery worker with one process, beat, the bridge, a backtesting worker")
            console.print(f"logs: {home / 'log'}", highlight=False, soft_wrap=True)
            run(console, stack, backtests, [config_of(each, chosen, exchange, own_config=config_file is not None) for each in backtests])
    except BridgeSystemError as exc:
        console.print(f"[red]error:[/red] {exc}", highlight=False)
        sys.exit(1)
    show_index(console, home / "artifacts" / "index.html")
    failed = sum(1 for each in backtests if each.error)
    console.print(f"{len(backtests) - failed} of {len(backtests)} backtests succeeded, {time.monotonic() - began:.0f} s in all.")
    sys.exit(1 if failed else 0)


def run(console: Console, stack: LocalStack, backtests: Sequence[Backtest], configs: Sequence[dict[str, Any]]) -> None:
    """Send, watch, report."""
    try:
        send(backtests, configs)
        console.print(f"sent with [b]run_backtest_task[/b] as one Celery group: {len(backtests)} backtests\n")
        watch(console, stack, backtests)
        report(console, backtests)
    except KeyboardInterrupt:
        call_off(console, backtests)
        sys.exit(130)
    finally:
        let_go(backtests)


def send(backtests: Sequence[Backtest], configs: Sequence[dict[str, Any]]) -> None:
    """Send all as one group. The app reads its addresses when it is imported."""
    from celery import group

    from tasks.backtesting import run_backtest_task

    sent = group(run_backtest_task.s(each.strategy, config) for each, config in zip(backtests, configs, strict=True)).apply_async()
    for backtest, result in zip(backtests, sent.results, strict=True):
        backtest.result = result


if __name__ == "__main__":
    main()
