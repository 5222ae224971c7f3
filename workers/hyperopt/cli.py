"""`python -m workers hyperopt check`."""

from __future__ import annotations

import click

from workers.freqtrade.check_command import check_command
from workers.freqtrade.config.keys import HYPEROPT


@click.group()
def cli() -> None:
    """What a hyperopt worker makes of a config."""


cli.add_command(check_command(HYPEROPT, "a hyperopt"))
