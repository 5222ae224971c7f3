"""`python -m workers data download | list | markets refresh | markets show`: the data worker's own jobs, from a terminal and without Redis."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from streams.errors import BridgeSystemError
from workers.artifacts import ArtifactStore
from workers.data.settings import DataSettings
from workers.freqtrade.markets import load_snapshot
from workers.handlers import HANDLERS
from workers.job import Job
from workers.settings import WorkerSettings

EXCHANGE = click.option("--exchange", default="binance", show_default=True, help="As in freqtrade's config: binance, kraken ...")
TRADING_MODE = click.option("--trading-mode", type=click.Choice(["spot", "futures"]), default="spot", show_default=True)

FILE_WIDTH = 160
"""Columns when the output is no terminal: nothing is wrapped."""


@click.group()
def cli() -> None:
    """Candles and markets: bring them here, and see what is there."""


@cli.command()
@EXCHANGE
@TRADING_MODE
@click.option(
    "--pairs", "-p", required=True, multiple=True, help="BTC/USDT, BTC/USDT:USDT, or a pattern such as '.*/USDT'; may be given more than once."
)
@click.option("--timeframes", "-t", required=True, multiple=True, help="5m, 1h ...; may be given more than once.")
@click.option("--timerange", help="20260101-, 20260101-20260301 ...; default: the last 30 days of what isn't there yet.")
@click.option("--prepend", is_flag=True, help="Download what lies before the candles that are there.")
@click.option("--erase", is_flag=True, help="Replace the candles that are there.")
@click.option("--include-inactive", is_flag=True, help="Pairs whose trading has ended, too.")
def download(**asked: Any) -> None:
    """Download candles, as `freqtrade download-data` does; the result is JSON on stdout, progress goes to stderr."""
    from workers.local_run import run_locally

    HANDLERS["data.download"].parse(asked)
    settings = WorkerSettings.load()
    settings.make_places()
    sys.exit(
        run_locally("data.download", json.dumps(asked), imports=("workers.data",), jobs_dir=settings.jobs_dir, artifacts_url=settings.artifacts_url)
    )


@cli.command("list")
@EXCHANGE
@TRADING_MODE
def list_(exchange: str, trading_mode: str) -> None:
    """List the candles that are there, with their ranges and gaps."""
    result = _run("data.list", exchange=exchange, trading_mode=trading_mode)
    table = Table("pair", "timeframe", "type", "from", "to", "candles", "gaps", "longest gap", title=f"{result['file_count']} candle files")
    for row in result["files"]:
        gaps, longest = row["gaps"], row["gaps"]["longest"]
        where = f"{longest['missing']} candles after {_minute(longest['after'])}" if longest else ""
        span = (_minute(row["from"]), _minute(row["to"]))
        table.add_row(row["pair"], row["timeframe"], row["candle_type"], *span, f"{row['candles']:,}", str(gaps["count"] or ""), where)
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(table)


@cli.group()
def markets() -> None:
    """The saved markets, which a backtest takes precision, fees and smallest orders from."""


@markets.command()
@EXCHANGE
@TRADING_MODE
def refresh(exchange: str, trading_mode: str) -> None:
    """Load an exchange's markets over the network and save them. Needs no account."""
    saved = _run("data.refresh_markets", exchange=exchange, trading_mode=trading_mode)
    click.echo(f"{saved['markets']} markets in {DataSettings.load().markets_folder / saved['file']}")


@markets.command()
def show() -> None:
    """List the saved markets."""
    folder = DataSettings.load().markets_folder
    files = sorted(folder.glob("*-*.json"))
    if not files:
        click.echo(f"no snapshot in {folder}: markets are made from the pairs, and results are marked synthetic_markets")
    table = Table("exchange", "trading mode", "markets", "refreshed at")
    for file in files:
        exchange, _, trading_mode = file.stem.rpartition("-")
        snapshot = load_snapshot(folder, exchange, trading_mode)
        document = json.loads(file.read_text(encoding="utf-8"))
        table.add_row(exchange, trading_mode, str(len(snapshot.markets) if snapshot else 0), document.get("refreshed_at", ""))
    if files:
        Console().print(table)


def _run(type_: str, **data: Any) -> dict[str, Any]:
    """Run a short job here, without a process of its own; what it stores goes with it."""
    handler = HANDLERS[type_]
    with tempfile.TemporaryDirectory() as folder:
        job = Job(id="terminal", type=type_, directory=Path(folder) / "job", artifacts=ArtifactStore(f"{folder}/artifacts"))
        try:
            result: dict[str, Any] = handler.function(job, handler.parse(data))
        except BridgeSystemError as exc:
            raise click.ClickException(str(exc)) from exc
    return result


def _minute(time: str | None) -> str:
    return time[:16].replace("T", " ") if time else ""
