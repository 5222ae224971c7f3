"""`celery -A tasks streams doctor`: what is stuck, why, and what to do about it."""

from __future__ import annotations

import json

import click
import redis
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.celery_internals.servers import is_server_away
from bridge.cli.streams import connection_of
from bridge.reconciling import Problem, Repaired, find_problems, repair
from streams.bus.codec import shown

EX_FINDINGS = 1
EX_UNAVAILABLE = 3


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--fix", is_flag=True, help="Repair what can be repaired without harm.")
@click.option("--quick", is_flag=True, help="Don't look through every result for tasks whose jobs are gone with their server.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_context
def doctor(ctx: click.Context, /, *, fix: bool, quick: bool, as_json: bool) -> None:
    """Find what is stuck, and why. Exit code: 0 when nothing is left to do, 1 when something is, 3 when a server can't be asked."""
    connection = connection_of(ctx)
    connection.app.loader.import_default_modules()  # the tasks, whose states are looked at
    try:
        problems = list(find_problems(connection, slow=not quick))
        repaired = [repair(problem) for problem in problems] if fix else []
    except Exception as exc:
        if not isinstance(exc, redis.RedisError | OSError) and not is_server_away(exc):  # the result backend may be a database
            raise
        click.echo(f"a server can't be asked: {type(exc).__name__}: {exc}", err=True)
        ctx.exit(EX_UNAVAILABLE)
    if as_json:
        _print_json(problems, repaired)
    else:
        _print_table(problems, repaired)
    if any(not each.done for each in repaired) if fix else problems:
        ctx.exit(EX_FINDINGS)


def _print_json(problems: list[Problem], repaired: list[Repaired]) -> None:
    if repaired:
        for each in repaired:
            click.echo(json.dumps(each.problem.as_json() | {"done": each.done, "words": each.words}))
    else:
        for problem in problems:
            click.echo(json.dumps(problem.as_json()))


def _print_table(problems: list[Problem], repaired: list[Repaired]) -> None:
    if not problems:
        click.echo("nothing is stuck")
        return
    table = Table(show_lines=True)
    for column in ("what", "why", "done" if repaired else "to do"):
        table.add_column(column, overflow="fold")
    for number, problem in enumerate(problems):
        if repaired:
            last = f"{'done' if repaired[number].done else 'NOT DONE'}: {repaired[number].words}"
        else:
            last = f"--fix would {problem.to_do}" if problem.fix else problem.to_do
        table.add_row(*(Text(shown(cell)) for cell in (f"{problem.kind}\n{problem.what}", problem.why, last)))
    Console(markup=False, highlight=False).print(table)
    fixable = sum(problem.fix is not None for problem in problems)
    if fixable and not repaired:
        click.echo(f"{fixable} of {len(problems)} can be repaired: celery -A ... streams doctor --fix")
