"""What `health`, `lag` and `metrics` share: one look or many, as a table or as JSON, and the exit code of a probe.

Exit codes: 0 ok, 1 degraded, 2 critical (also wrong usage, as click has it), 3 the streams' server can't be asked.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
import redis
from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from bridge.cli.streams import connection_of
from streams.bus.clients import CONNECTION_ERRORS
from streams.errors import SettingsError
from streams.health import Health, Thresholds, check_stream_health
from streams.redact import without_password

CANT_BE_ASKED: Final = 3
WATCH_SECONDS: Final = 2.0
WIDTH: Final = 200
"""Of a table that goes into a file or a pipe."""
F = TypeVar("F", bound=Callable[..., Any])


def options(command: F) -> F:
    """`--watch` and `--json`."""
    watch = click.option(
        "--watch",
        type=click.FloatRange(min=0.1),
        is_flag=False,
        flag_value=WATCH_SECONDS,
        metavar="[SECONDS]",
        help=f"Look again every so many seconds ({WATCH_SECONDS:g} when none are given), until Ctrl-C.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="As JSON; with --watch a line for each look.")
    return watch(as_json(command))


def show(
    ctx: click.Context,
    *,
    watch: float | None,
    as_json: bool,
    table: Callable[[Health], RenderableType],
    data: Callable[[Health], BaseModel],
    judged: Callable[[Health], Health] = lambda found: found,
    by_verdict: bool = True,
) -> None:
    """Look, show it, and exit by the verdict.

    Args:
        ctx: of the command.
        watch: seconds between two looks; None is one look.
        as_json: rather than a table.
        table: what people see.
        data: what programs get.
        judged: takes only some rules into account.
        by_verdict: whether the exit code says what the verdict is.
    """
    console = Console(width=None if Console().is_terminal else WIDTH)
    if watch is None:
        found = judged(look(ctx))
        if as_json:
            click.echo(data(found).model_dump_json(indent=2))
        else:
            console.print(table(found))
        ctx.exit(int(found.verdict.level) if by_verdict else 0)
    code = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        live = None if as_json else stack.enter_context(Live(console=console, auto_refresh=False, screen=console.is_terminal))
        while True:
            try:
                found = judged(_ask(ctx))
            except CantBeAsked as exc:  # it may come back
                code = CANT_BE_ASKED
                shown: RenderableType = Text(str(exc), style="red")
                line = json.dumps({"error": str(exc)})
            else:
                code = int(found.verdict.level) if by_verdict else 0
                shown, line = table(found), data(found).model_dump_json()
            if live is None:
                click.echo(line)
            else:
                live.update(shown, refresh=True)
            time.sleep(watch)
    ctx.exit(code)


class CantBeAsked(Exception):
    """The streams' server is away, or refuses; in one sentence that says what to do."""


def look(ctx: click.Context) -> Health:
    """One look; ends the command when the server can't be asked."""
    try:
        return _ask(ctx)
    except CantBeAsked as exc:
        click.echo(f"Error: {exc}", err=True)
        ctx.exit(CANT_BE_ASKED)


def _ask(ctx: click.Context) -> Health:
    connection = connection_of(ctx)
    try:
        server = f"Redis at {without_password(connection.settings.redis_url)}"
        return check_stream_health(connection, Thresholds.load())
    except CONNECTION_ERRORS as exc:
        raise CantBeAsked(f"{server} can't be asked ({exc}): start it, or set REDIS_URL") from exc
    except redis.RedisError as exc:
        raise CantBeAsked(f"{server} refuses ({exc}): give REDIS_URL a user that may read the streams") from exc
    except SettingsError as exc:
        raise click.UsageError(str(exc)) from None
