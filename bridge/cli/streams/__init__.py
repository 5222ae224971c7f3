"""`celery -A tasks streams ...`: looking after the streams. Each noun is a module of this package."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click
import redis

from bridge.connection import Connection
from streams.errors import BridgeSystemError
from streams.redact import without_password

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


class LazyGroup(click.Group):
    """Imports a command when it is called: Celery loads this module in each of its processes, for its own list of commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """A server that can't be reached, or that refuses, is told in one sentence, with exit code 1; a command may do more about it."""
        try:
            return super().invoke(ctx)
        except BridgeSystemError as exc:
            raise click.ClickException(str(exc)) from None
        except (redis.RedisError, ConnectionError) as exc:
            where = without_password(connection_of(ctx).settings.redis_url)
            raise click.ClickException(f"Redis at {where}: {exc}; is it running, and is REDIS_URL the one that the bridge uses?") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def connection_of(ctx: click.Context) -> Connection:
    """The connection of the app that `celery -A` names.

    Raises:
        click.UsageError: the app isn't connected to the streams.
    """
    try:
        return Connection.of(ctx.obj.app)
    except LookupError as exc:
        raise click.UsageError(str(exc)) from None


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def streams() -> None:
    """Look after the streams."""
