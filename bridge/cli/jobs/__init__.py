"""`celery -A tasks jobs ...`: what jobs there are and were. Each command is a module of this package."""

from __future__ import annotations

from typing import Final

import click

from bridge.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "history": "jobs that have ended, by what came out",
}
"""Name of the command and of its module here, and what it does."""


@click.group(cls=LazyGroup, package=__name__, listed=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def jobs() -> None:
    """Look at jobs."""
