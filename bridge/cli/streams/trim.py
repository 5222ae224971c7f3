"""`celery -A tasks streams trim`: remove what every group is done with, and say what holds the rest."""

from __future__ import annotations

import dataclasses
import json

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.cli.streams import connection_of
from bridge.maintenance.explaining import Explained, trim_and_explain
from bridge.maintenance.trimming import capped_streams, trimmed_streams
from streams.bus.codec import shown


@click.command()
@click.argument("only", metavar="[STREAM]...", nargs=-1)
@click.option("--explain", is_flag=True, help="Show every stream: where its floor is, and which group or entry holds it.")
@click.option("--dry-run", is_flag=True, help="Change nothing; count what would be removed.")
@click.option("--exact", is_flag=True, help="To the entry; by default up to a node's worth of entries (some 100) stays, which is cheaper.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def trim(ctx: click.Context, only: tuple[str, ...], *, explain: bool, dry_run: bool, exact: bool, as_json: bool) -> None:
    """Remove what every group is done with from command and result streams, as far as STREAMS_LIMITS keeps it no longer; cut status streams at their cap.

    What a group hasn't read and acknowledged is never removed. Dead letters aren't trimmed (`streams dead purge`). Exit code 1: the server can't be reached.
    """
    connection = connection_of(ctx)
    known = {stream for stream, _ in trimmed_streams(connection)} | set(capped_streams(connection))
    if unknown := set(only) - known:
        raise click.UsageError(f"no stream that is trimmed: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}")
    rows = trim_and_explain(connection, dry_run=dry_run, exact=exact, only=only)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "streams": [dataclasses.asdict(row) for row in rows]}))
        return
    if explain:
        Console(width=None if Console().is_terminal else 200).print(_table(rows, dry_run=dry_run))
    word, total = ("would be removed" if dry_run else "removed"), sum(row.removed for row in rows)
    for row in rows:
        if row.removed and not explain:
            click.echo(f"{row.stream}: {row.removed:,} {word}")
    click.echo(f"{total:,} entries {word}")


def _table(rows: list[Explained], *, dry_run: bool) -> Table:
    table = Table("stream", "entries", "would go" if dry_run else "removed", "kept by limits", "floor", "what holds the rest")
    for row in rows:
        table.add_row(row.stream, f"{row.length:,}", f"{row.removed:,}", f"{row.kept:,}", row.floor or "-", Text(shown("\n".join(row.held_by))))
    return table
