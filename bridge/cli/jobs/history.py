"""`celery -A tasks jobs history`: jobs that have ended, newest first or by a column of their results."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import click

from bridge.cli.durations import Duration, in_words
from bridge.cli.lazy_group import connection_of
from bridge.job_history import ARGUMENT, EndedJob, columns, ended_jobs
from streams.bus.clock import utc_now
from streams.bus.codec import shown

TIMES: Final = ("finished", "waited", "ran")
"""What every job can be sorted by."""
MOST_CHARS: Final = 18
"""Of a value in the table; a longer one is told below, and so is what doesn't fit into the terminal."""
MOST_CHARS_BELOW: Final = 120


class HistoryCommand(click.Command):
    """Has an option more for each argument that a task of the app declares as a column (`StreamTask.history`): `--strategy EmaCross`."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        taken = {name for parameter in own for name in parameter.opts}
        app = getattr(ctx.obj, "app", None)
        found = columns(app) if app is not None else {}
        more = [
            click.Option(
                [f"--{name}"],
                metavar="VALUE",
                expose_value=False,
                callback=_add_condition,
                help=f"Only where {name} is that; as --where {name}=VALUE.",
            )
            for name, path in found.items()
            if path.startswith(ARGUMENT) and f"--{name}" not in taken
        ]
        return [*own[:-1], *more, own[-1]]


def _add_condition(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.meta.setdefault(__name__, {})[str(option.name)] = value


@click.command(cls=HistoryCommand)
@click.option("--since", type=Duration(), metavar="DURATION", help="Only what ended in the last 90s, 15m, 12h, 7d ...")
@click.option("--task", metavar="NAME", help="Only of this task: its whole name, or the last part of it.")
@click.option("--state", metavar="STATE", help="Only with this outcome: SUCCESS, FAILURE, REVOKED.")
@click.option("--where", "conditions", multiple=True, metavar="COLUMN=VALUE", help="Only where a column is that; may be given several times.")
@click.option(
    "--sort",
    default="finished",
    metavar="COLUMN",
    help=f"By a column, the largest first: {', '.join(TIMES)}, or one of the tasks' own.",
    show_default=True,
)
@click.option("--reverse", is_flag=True, help="The smallest, or oldest, first.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many at most.")
@click.option("--json", "as_json", is_flag=True, help="For programs: a line each.")
@click.pass_context
def history(
    ctx: click.Context,
    /,
    *,
    since: timedelta | None,
    task: str | None,
    state: str | None,
    conditions: tuple[str, ...],
    sort: str,
    reverse: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show jobs that have ended, with what came out of them.

    The last 10,000 are known, for BRIDGE_TOMBSTONE_DAYS; of one whose result has expired, what the ledger says. A job without the column that is sorted by comes last.
    """
    connection = connection_of(ctx)
    known = columns(connection.app)
    if sort not in (*TIMES, *known):
        raise click.UsageError(f"--sort: no column {sort!r}; there are {', '.join((*TIMES, *known))}", ctx)
    wanted = ctx.meta.get(__name__, {}) | dict(_condition(ctx, each, known) for each in conditions)
    jobs = (
        job
        for job in ended_jobs(connection, since=None if since is None else utc_now() - since)
        if (state is None or job.state == state.upper())
        and (task is None or task in {job.task, (job.task or "").rpartition(".")[2]})
        and all(_text(job.values.get(name)) == value for name, value in wanted.items())
    )
    chosen = list(islice(jobs if sort == "finished" and not reverse else _sorted(jobs, sort, reverse=reverse), limit + 1))
    if as_json:
        for job in chosen[:limit]:
            click.echo(job.model_dump_json())
        return
    if not chosen:
        click.echo("no job that ended is known" + (" that is like that" if wanted or task or state or since else ""))
        return
    _print_table(chosen[:limit])
    if len(chosen) > limit:
        click.echo(f"there are more than {limit}: --limit, or filter them")


def _condition(ctx: click.Context, text: str, known: Iterable[str]) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or name not in known:
        raise click.UsageError(f"--where: COLUMN=VALUE, with one of the columns {', '.join(known)}", ctx)
    return name, value


def _sorted(jobs: Iterable[EndedJob], column: str, *, reverse: bool) -> list[EndedJob]:
    """Those without the column come last, either way."""
    valued = [(_sort_value(job, column), job) for job in jobs]
    numbers = [pair for pair in valued if isinstance(pair[0], int | float)]
    words = [pair for pair in valued if isinstance(pair[0], str)]
    step = -1 if reverse else 1
    ordered = [job for part in (numbers, words) for _, job in sorted(part, key=lambda pair: pair[0], reverse=True)[::step]]
    return ordered + [job for value, job in valued if value is None]


def _sort_value(job: EndedJob, column: str) -> Any:
    match column:
        case "finished":
            return job.finished_at.timestamp()
        case "waited":
            return job.waited_seconds
        case "ran":
            return job.ran_seconds
        case _:
            value = job.values.get(column)
            if isinstance(value, float) and not math.isfinite(value):
                return None
            return value if value is None or isinstance(value, int | float) else _text(value)


def _print_table(jobs: list[EndedJob]) -> None:
    """Two lines each and more, as a line of a narrow terminal holds no task id beside its numbers."""
    named = list(dict.fromkeys(name for job in jobs for name in job.values))
    own = [{name: _cell(job.values.get(name)) for name in named} for job in jobs]
    table = [
        {"finished": _local(job.finished_at), "state": job.state, "ran": _duration(job.ran_seconds)} | cells
        for job, cells in zip(jobs, own, strict=True)
    ]
    widths = {name: max(len(name), *(len(row[name]) for row in table)) for name in ("finished", "state", "ran", *named)}
    shown_columns = [name for name, width in widths.items() if width <= MOST_CHARS or name not in named]
    while len(shown_columns) > 3 and sum(widths[name] + 2 for name in shown_columns) > max(80, shutil.get_terminal_size().columns):
        shown_columns.pop()
    right = {name for name in named if all(_is_number(job.values.get(name)) for job in jobs)} | {"ran"}

    def line(row: Mapping[str, str]) -> str:
        return "  ".join(row[name].rjust(widths[name]) if name in right else row[name].ljust(widths[name]) for name in shown_columns).rstrip()

    click.secho(line({name: name for name in widths}), bold=True)
    for job, row in zip(jobs, table, strict=True):
        click.echo(line(row))
        below = [f"{name} {row[name]}" for name in named if name not in shown_columns and row[name]]
        if job.error:
            below.append(_cell(next(iter(job.error.splitlines()), ""))[:MOST_CHARS_BELOW])
        for text in (f"{job.task_id}  {(job.task or 'unknown task').rpartition('.')[2]}", *below):
            click.secho(f"    {text}", dim=True)


def _duration(seconds: float | None) -> str:
    return "-" if seconds is None else in_words(timedelta(seconds=seconds))


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%m-%d %H:%M%z")


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _cell(value: Any) -> str:
    """In one line, and no control characters: a worker has written it."""
    text = f"{value:.4g}" if isinstance(value, float) else _text(value)
    return shown(text).replace("\n", "\\n").replace("\t", " ")
