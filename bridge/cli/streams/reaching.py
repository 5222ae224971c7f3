"""A server that can't be reached or doesn't answer is told in one sentence, with exit code 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
import redis

from bridge.connection import Connection
from streams.errors import BridgeSystemError
from streams.redact import without_password


@contextmanager
def told_in_a_sentence(connection: Connection) -> Iterator[None]:
    """While inside, what goes wrong at the streams' server ends the command in good order."""
    try:
        yield
    except BridgeSystemError as exc:
        raise click.ClickException(str(exc)) from None
    except (redis.RedisError, OSError) as exc:
        where = without_password(connection.settings.redis_url)
        raise click.ClickException(f"Redis at {where}: {exc}; is it running, and is REDIS_URL the one that the bridge uses?") from None
