"""`celery -A tasks streams ...`: looking after the streams. Each noun is a module of this package."""

from __future__ import annotations

from typing import Final

import click

from bridge.cli.lazy_group import LazyGroup, connection_of

__all__ = ["connection_of", "streams"]

COMMANDS: Final = {
    "dead": "dead letters: list, show, redrive, discard, purge",
    "disk": "who uses the disk, and what may go",
    "doctor": "find what is stuck, and repair it",
    "health": "ok, degraded or critical, and why",
    "lag": "what each group has still to read",
    "metrics": "every number, for people, programs or Prometheus",
    "migrate": "bring the entries of the predecessor's streams over",
    "trim": "remove what every group is done with",
}
"""Name of the command and of its module here, and what it does."""


@click.group(cls=LazyGroup, package=__name__, listed=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def streams() -> None:
    """Look after the streams."""
