"""`python -m workers backtesting check | markets refresh | markets show`."""

from __future__ import annotations

import json

import click
from rich.console import Console
from rich.table import Table

from workers.freqtrade.check_command import check_command
from workers.freqtrade.config.keys import CONFIG
from workers.freqtrade.markets import load_snapshot
from workers.freqtrade.settings import FreqtradeSettings


@click.group()
def cli() -> None:
    """What a backtesting worker makes of a config, and which markets it has."""


cli.add_command(check_command(CONFIG, "a backtest"))


@cli.group()
def markets() -> None:
    """The saved markets, which a backtest takes precision, fees and smallest orders from."""


@markets.command()
@click.option("--exchange", required=True, help="As in freqtrade's config: binance, kraken ...")
@click.option("--trading-mode", type=click.Choice(["spot", "futures"]), default="spot", show_default=True)
def refresh(exchange: str, trading_mode: str) -> None:
    """Load an exchange's markets over the network and save them. Needs no account."""
    import ccxt
    from freqtrade.exceptions import FreqtradeException

    from workers.freqtrade.exchange import refresh_markets

    try:
        file, count = refresh_markets(FreqtradeSettings.load(), exchange, trading_mode)
    except (ccxt.BaseError, FreqtradeException) as exc:
        raise click.ClickException(f"{exchange} can't be asked for its markets: {type(exc).__name__}: {exc}") from exc
    click.echo(f"{count} markets in {file}")


@markets.command()
def show() -> None:
    """List the saved markets."""
    folder = FreqtradeSettings.load().markets_folder
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
