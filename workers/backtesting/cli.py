"""`python -m workers backtesting check | markets refresh | markets show`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from workers.freqtrade.config.policy import JudgedConfig, judge
from workers.freqtrade.markets import load_snapshot
from workers.freqtrade.settings import FreqtradeSettings

COLOURS = {"used": "green", "ignored": "yellow", "refused": "red"}


@click.group()
def cli() -> None:
    """What a backtesting worker makes of a config, and which markets it has."""


@cli.command()
@click.option("--config", "file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your freqtrade config.json.")
def check(file: Path) -> None:
    """Say for each key of a config whether a backtest uses it, ignores it or refuses it, and why. Exits with 1 when one is refused."""
    judged = judge_file(file)
    Console().print(_table(judged))
    if judged.refused:
        raise SystemExit(1)


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


def judge_file(file: Path) -> JudgedConfig:
    """Judge a config file of freqtrade's: JSON with comments and trailing commas."""
    import rapidjson

    try:
        config: Any = rapidjson.loads(file.read_text(encoding="utf-8"), parse_mode=rapidjson.PM_COMMENTS | rapidjson.PM_TRAILING_COMMAS)
    except rapidjson.JSONDecodeError as exc:
        raise click.ClickException(f"{file} is no JSON: {exc}") from exc
    if not isinstance(config, dict):
        raise click.ClickException(f"{file} holds no object")
    try:
        from freqtrade import __version__

        from workers.freqtrade.config.values import known_keys
    except ModuleNotFoundError:  # the tables do without it, only less precisely
        return judge(config)
    return judge(config, known=known_keys(), version=__version__)


def _table(judged: JudgedConfig) -> Table:
    table = Table("key", "in a backtest", "why", title="config of a backtest")
    for item in sorted(judged.judgements, key=lambda item: list(COLOURS).index(item.verdict.value)):
        table.add_row(item.key, f"[{COLOURS[item.verdict.value]}]{item.verdict.value}", item.reason)
    return table
