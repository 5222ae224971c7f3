"""`celery -A tasks streams health`: ok, degraded or critical, and why."""

from __future__ import annotations

import click

from bridge.cli.streams.looking import options, show
from streams.health.tables import health_table


@click.command()
@options
@click.pass_context
def health(ctx: click.Context, watch: float | None, *, as_json: bool) -> None:
    """Whether jobs go through: ok, degraded or critical, each reason with what to type next.

    Exit code: 0 ok, 1 degraded, 2 critical, 3 when the streams' server can't be asked.
    """
    show(ctx, watch=watch, as_json=as_json, table=health_table, data=lambda found: found)
