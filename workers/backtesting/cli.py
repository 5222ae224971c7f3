"""`python -m workers backtesting check`."""

from __future__ import annotations

import click

from workers.freqtrade.check_command import check_command
from workers.freqtrade.config.keys import CONFIG


@click.group()
def cli() -> None:
    """What a backtesting worker makes of a config."""


cli.add_command(check_command(CONFIG, "a backtest"))
