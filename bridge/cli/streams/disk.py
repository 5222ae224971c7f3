"""`celery -A tasks streams disk`: who uses the server's memory and this host's disk."""

from __future__ import annotations

import dataclasses
import json

import click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from bridge.cli.streams import connection_of
from bridge.disk_use import PlaceUse, disk_use
from bridge.redis_use import RedisUse, redis_use
from streams.bus.codec import shown

LARGEST = 10


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs: every folder, sizes in bytes.")
@click.pass_context
def disk(ctx: click.Context, *, as_json: bool) -> None:
    """Show who uses what: the server's memory by stream and kind of key, and the job folders and artifacts that this host sees (JOBS_DIR, ARTIFACTS_URL).

    Every key of the server is looked at, a part at a time. Exit code 1: the server can't be reached.
    """
    connection = connection_of(ctx)
    memory = redis_use(connection)
    places = disk_use(connection)
    if as_json:
        click.echo(json.dumps({"redis": dataclasses.asdict(memory), "disk": [dataclasses.asdict(place) for place in places]}))
        return
    console = Console(width=None if Console().is_terminal else 150)
    console.print(_of_redis(memory))
    for place in places:
        console.print(_of_place(place))


def _of_redis(memory: RedisUse) -> Table:
    limit = f" of {decimal(memory.max_bytes)}" if memory.max_bytes else ", no maxmemory"
    streams = sum(each.bytes for each in memory.streams)
    budget = f" of {decimal(memory.budget_bytes)}" if memory.budget_bytes else ", no STREAMS_MEMORY_MIB"
    table = Table(
        "streams and kinds of keys",
        "entries or keys",
        "size",
        "without TTL",
        title=f"Redis: {decimal(memory.used_bytes)}{limit}; streams: {decimal(streams)}{budget}",
    )
    for stream in memory.streams:
        table.add_row(stream.name, f"{stream.entries:,}", decimal(stream.bytes), "")
    table.add_section()
    for family in memory.families:
        table.add_row(family.name, f"{family.keys:,}", f"~{decimal(family.bytes)}", f"~{family.without_ttl:,}" if family.without_ttl else "")
    return table


def _of_place(place: PlaceUse) -> Table | str:
    if not place.seen:
        return f"{place.variable}: {place.path} isn't seen from this host; ask on a worker's"
    short = " TOO LITTLE: workers take no new jobs" if place.free_bytes < place.min_free_bytes else ""
    title = f"{place.variable} {place.path}: {len(place.folders):,} jobs, {decimal(place.bytes)}; free {decimal(place.free_bytes)} (MIN_FREE_DISK {decimal(place.min_free_bytes)}){short}"
    table = Table("folder", "size", "unused for (days)", "its job", title=title)
    for folder in place.folders[:LARGEST]:
        table.add_row(Text(shown(folder.name)), decimal(folder.bytes), f"{folder.days_unused:.1f}", "open" if folder.is_open else "ended")
    if len(place.folders) > LARGEST:
        table.add_row(f"... {len(place.folders) - LARGEST:,} smaller ones", "", "", "")
    return table
