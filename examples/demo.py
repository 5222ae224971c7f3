"""`make demo`: real freqtrade backtests as Celery tasks, on this machine, from nothing.

Starts an embedded server, a Celery worker with one process, beat, the bridge and a backtesting worker; makes seeded candles; sends a Celery group of
backtests; shows each one's progress, then a table by profit. With `--datadir --strategies --pairs --config` the backtests are of your own.
"""

from __future__ import annotations

import ast
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from streams.errors import BridgeSystemError
from tasks.local_stack import LocalStack

if TYPE_CHECKING:
    from celery.result import AsyncResult

ROOT = Path(__file__).resolve().parent.parent
PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
DAYS = 60
STARTUP_SECONDS = 60
POLL_SECONDS = 0.1
WHEN_DONE = {"SUCCESS": "done", "FAILURE": "failed", "REVOKED": "cancelled"}


@dataclass(slots=True)
class Backtest:
    """One line of the demo."""

    strategy: str
    timeframe: str | None
    result: AsyncResult | None = None
    outcome: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    @property
    def label(self) -> str:
        """As it is shown."""
        return f"{self.strategy} {self.timeframe}" if self.timeframe else self.strategy


def strategies_in(folder: Path) -> Iterator[str]:
    """Class names of the strategies of a folder, found without running them."""
    for file in sorted(folder.glob("*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and any("IStrategy" in ast.unparse(base) for base in node.bases):
                yield node.name


def plan(strategies: Path, *, own: bool) -> list[Backtest]:
    """What is sent: our three strategies, one of them on two timeframes; or each of the user's, on its own timeframe."""
    names = list(strategies_in(strategies))
    if not names:
        raise click.UsageError(f"no strategy in {strategies}: none of its *.py files has a class derived from IStrategy")
    if own:
        return [Backtest(name, None) for name in names]
    return [*(Backtest(name, "5m") for name in names), Backtest(names[0], "15m")]


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


class Stage(ProgressColumn):
    """The job's state and stage, and on which worker."""

    def render(self, task: Task) -> Text:
        """As one cell."""
        return Text.assemble((f"{task.fields['stage']:<20.20}", "cyan"), (f" {task.fields['worker']}", "dim"))


def watch(console: Console, stack: LocalStack, backtests: Sequence[Backtest]) -> None:
    """A live bar per backtest until all are done."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=12), TaskProgressColumn(), Stage(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bars = [progress.add_task(backtest.label, total=100, stage="sent", worker="") for backtest in backtests]
        open_ones = dict(zip(bars, backtests, strict=True))
        while open_ones:
            stack.check()
            for bar, backtest in list(open_ones.items()):
                if backtest.result is not None and show(progress, bar, backtest, backtest.result):
                    del open_ones[bar]
            time.sleep(POLL_SECONDS)


def show(progress: Progress, bar: Any, backtest: Backtest, result: AsyncResult) -> bool:
    """Bring a bar up to date; True when the backtest is done."""
    state, info = result.state, result.info
    if state in WHEN_DONE:
        if state == "SUCCESS":
            backtest.outcome = result.get()
            progress.update(bar, completed=100)
        else:
            backtest.error = str(info)
        progress.update(bar, stage=WHEN_DONE[state])
        progress.stop_task(bar)
        return True
    if state == "PROGRESS":
        progress.update(bar, completed=info["current"], total=info["total"] or 100, stage=info["message"], worker=info["worker"])
    elif state == "STARTED":
        progress.update(bar, stage="started", worker=info["hostname"])
    else:
        progress.update(bar, stage=state.lower())
    return False


def report(console: Console, backtests: Sequence[Backtest], artifacts: Path) -> None:
    """The table, best profit first, and where the files are."""
    done = sorted((each for each in backtests if each.outcome), key=lambda each: -(each.outcome["profit_total"] or 0.0))
    table = Table(title="Backtests by profit", title_justify="left")
    for name in ("strategy", "tf"):
        table.add_column(name, no_wrap=True)
    for name in ("profit", "drawdown", "Sharpe", "trades", "wins", "run time"):
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
            console.print(
                "Markets (precision, fees, minimum stake) were made up: `python -m workers backtesting markets refresh` saves real ones.", style="dim"
            )
        console.print(f"Artifacts (open them with `freqtrade backtesting-show` or FreqUI): {artifacts}/<task id>/backtest_results")
    for each in backtests:
        if each.error:
            console.print(f"[red]{each.label} failed:[/red] {each.error}")


def make_demo_candles(console: Console, datadir: Path) -> None:
    """Seeded candles, once."""
    if any(datadir.glob("*.feather")):
        return
    console.print(f"making {DAYS} days of candles of {', '.join(PAIRS)} (seeded, not a market) ...")
    from examples.candles import make_candles

    make_candles(datadir, PAIRS, days=DAYS, timeframes=("5m", "15m", "1h"))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--datadir", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Your candles (freqtrade's data/<exchange> folder).")
@click.option("--strategies", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Your strategies folder.")
@click.option("--pairs", help="Your pairs, separated by spaces or commas.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Your freqtrade config.json, as the trusted base."
)
@click.option("--exchange", default="binance", show_default=True)
@click.option("--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Backtests at a time.")
def main(datadir: Path | None, strategies: Path | None, pairs: str | None, config_file: Path | None, exchange: str, concurrency: int) -> None:
    """Run real backtests as Celery tasks, on this machine."""
    console, home, began = Console(), ROOT / "var" / "demo", time.monotonic()
    strategies_folder = strategies or ROOT / "examples" / "strategies"
    chosen = tuple(pairs.replace(",", " ").split()) if pairs else (() if config_file else PAIRS)
    backtests = plan(strategies_folder, own=strategies is not None)
    candles = datadir or home / "user_data" / "data" / exchange
    if datadir is None:
        make_demo_candles(console, candles)
    worker_environment = {
        "FREQTRADE_USER_DATA": str(home / "user_data"),
        "FREQTRADE_STRATEGIES": str(strategies_folder.absolute()),
        "FREQTRADE_DATADIR": str(candles.absolute()),
        **({"FREQTRADE_CONFIG": str(config_file.absolute())} if config_file else {}),
    }
    stack = LocalStack(
        home,
        only=("celery", "beat", "bridge", "backtesting"),
        concurrency=concurrency,
        environment={"backtesting": worker_environment},
    )
    try:
        with stack:
            os.environ.update(stack.client_environment)
            console.print(
                f"server, Celery worker (1 process), beat, bridge and backtesting worker ({concurrency} at a time) are starting; logs in {home / 'log'}"
            )
            send(backtests, [config_of(each, chosen, exchange, own_config=config_file is not None) for each in backtests])
            console.print(f"{len(backtests)} backtests sent with [b]run_backtest_task[/b] as one Celery group\n")
            watch(console, stack, backtests)
            report(console, backtests, home / "artifacts")
    except BridgeSystemError as exc:
        console.print(f"[red]error:[/red] {exc}")
        sys.exit(1)
    failed = sum(1 for each in backtests if each.error)
    console.print(f"{len(backtests) - failed} of {len(backtests)} backtests succeeded, {time.monotonic() - began:.0f} s in all.")
    sys.exit(1 if failed else 0)


def send(backtests: Sequence[Backtest], configs: Sequence[dict[str, Any]]) -> None:
    """Send all as one group. The app reads its addresses when it is imported."""
    from celery import group

    from tasks.backtesting import run_backtest_task

    sent = group(run_backtest_task.s(each.strategy, config) for each, config in zip(backtests, configs, strict=True)).apply_async()
    for backtest, result in zip(backtests, sent.results, strict=True):
        backtest.result = result


if __name__ == "__main__":
    main()
