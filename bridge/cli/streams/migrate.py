"""`celery -A tasks streams migrate`: bring the entries of the predecessor's streams over."""

from __future__ import annotations

import json
from typing import Final

import click
import redis
from rich.console import Console
from rich.table import Table

from bridge.cli.streams import connection_of
from bridge.connection import Connection
from streams.bus.clients import is_passing
from streams.bus.codec import encode_datetime
from streams.bus.migrating import Migration, carry_out, plan
from streams.redact import without_password

EX_STAYED: Final = 1
EX_UNAVAILABLE: Final = 69
SHOWN: Final = 50
"""Lines of what stays, in the table; --json has all."""


class _Unavailable(click.ClickException):
    exit_code = EX_UNAVAILABLE


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would be moved, and move nothing.")
@click.option("--handled", is_flag=True, help="Move commands, too, that every old group has acknowledged: they will be carried out a second time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def migrate(ctx: click.Context, *, dry_run: bool, handled: bool, as_json: bool) -> None:
    """Move what is on mcp_commands, bot_commands, bot_events, mcp_events and system_events to the streams of this system.

    In the order it was written; each entry keeps its fields, and says in original_time when it was written. What can't be routed stays, and is listed. Stopped or
    killed in the middle, it is simply run again.

    Exit codes: 0 nothing is left behind, 1 some entries stay (they are listed), 69 Redis can't be reached.
    """
    connection = connection_of(ctx)
    try:
        migration = _migrate(connection, dry_run=dry_run, handled=handled)
    except (redis.RedisError, OSError) as exc:
        message = f"Redis at {without_password(connection.settings.redis_url)}: {exc}; nothing is lost, run it again"
        raise (_Unavailable(message) if is_passing(exc) else click.ClickException(message)) from None
    if as_json:
        click.echo(json.dumps(_as_json(migration, dry_run=dry_run), indent=2))
    else:
        _print(migration, dry_run=dry_run)
    ctx.exit(EX_STAYED if migration.stayed else 0)


def _migrate(connection: Connection, *, dry_run: bool, handled: bool) -> Migration:
    _ = connection.settings  # the services that the environment adds are destinations, too
    entries = plan(connection.client, also_handled=handled)
    if not dry_run:
        return carry_out(connection.call, connection.keys, entries)
    migration = Migration()
    for entry in entries:
        migration.count(entry)
    return migration


def _print(migration: Migration, *, dry_run: bool) -> None:
    console = Console()
    if not migration.moved and not migration.stayed:
        console.print("The old streams are empty: there is nothing to move.")
        return
    table = Table(title="would be moved" if dry_run else "moved", title_justify="left")
    for heading in ("from", "to", "entries", "oldest", "newest"):
        table.add_column(heading, justify="right" if heading == "entries" else "left")
    for moved in migration.moved.values():
        oldest, newest = (f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "" for moment in (moved.oldest, moved.newest))
        table.add_row(moved.source, moved.target, f"{moved.entries:,}", oldest, newest)
    console.print(table)
    if migration.stayed:
        staying = Table(title=f"{'would stay' if dry_run else 'stayed'}: {len(migration.stayed):,}", title_justify="left")
        for heading in ("stream", "entry", "written", "because it"):
            staying.add_column(heading, overflow="fold")
        for entry in migration.stayed[:SHOWN]:
            staying.add_row(entry.source, entry.id, f"{entry.at:%Y-%m-%d %H:%M:%S}", entry.reason)
        console.print(staying)
        if len(migration.stayed) > SHOWN:
            console.print(f"... and {len(migration.stayed) - SHOWN:,} more: --json lists them all")


def _as_json(migration: Migration, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "moved": [
            {
                "from": moved.source,
                "to": moved.target,
                "entries": moved.entries,
                "oldest": encode_datetime(moved.oldest) if moved.oldest else None,
                "newest": encode_datetime(moved.newest) if moved.newest else None,
            }
            for moved in migration.moved.values()
        ],
        "stayed": [
            {"stream": entry.source, "id": entry.id, "written": encode_datetime(entry.at), "reason": entry.reason} for entry in migration.stayed
        ],
    }
