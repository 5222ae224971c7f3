"""`celery -A tasks streams metrics`: every number."""

from __future__ import annotations

import click

from bridge.cli.streams.looking import look, options, show
from streams.health.tables import metrics_table


@click.command()
@options
@click.option("--prometheus", is_flag=True, help="In Prometheus's text format, such as for node_exporter's textfile collector.")
@click.pass_context
def metrics(ctx: click.Context, watch: float | None, *, as_json: bool, prometheus: bool) -> None:
    """Every number: services, streams, groups, consumers, the server.

    Exit code: 0, whatever the numbers say; 3 when the streams' server can't be asked.
    """
    if prometheus:
        from streams.health.prometheus import text

        if watch is not None or as_json:
            raise click.UsageError("--prometheus is one look, and no JSON")
        click.echo(text(look(ctx)), nl=False)
        return
    show(ctx, watch=watch, as_json=as_json, table=metrics_table, data=lambda found: found.snapshot, by_verdict=False)
