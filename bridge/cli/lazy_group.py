"""A group of commands whose modules are imported when they are called, and which tells troubles with the server in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
import redis

from bridge.connection import Connection
from streams.errors import BridgeSystemError
from streams.redact import without_password


class LazyGroup(click.Group):
    """Imports a command when it is called: Celery loads a group's module in each of its processes, for its own list of commands."""

    def __init__(self, *, package: str, listed: Mapping[str, str], **options: Any) -> None:
        """A group.

        Args:
            package: whose modules hold the commands, each named as its command.
            listed: the commands, and what each does.
            options: click's.
        """
        super().__init__(**options)
        self._package, self._listed = package, listed

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self._listed)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in self._listed:
            return None
        command: click.Command = getattr(import_module(f"{self._package}.{cmd_name}"), cmd_name)
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
            formatter.write_dl(list(self._listed.items()))


def connection_of(ctx: click.Context) -> Connection:
    """The connection of the app that `celery -A` names.

    Raises:
        click.UsageError: the app isn't connected to the streams.
    """
    try:
        return Connection.of(ctx.obj.app)
    except LookupError as exc:
        raise click.UsageError(str(exc)) from None
