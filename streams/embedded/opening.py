"""The server that this machine offers: the one that `REDIS_URL` names, else an embedded one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import redis
from pydantic import Field
from redis.backoff import NoBackoff
from redis.retry import Retry

from streams.embedded.server import EmbeddedServer
from streams.embedded.urls import celery_url
from streams.errors import ServerUnavailable
from streams.redact import without_password
from streams.settings import Settings

CONNECT_SECONDS = 3.0


class Server(Protocol):
    """Where a server is, in both spellings."""

    @property
    def url(self) -> str:
        """For redis-py."""
        ...

    def celery_url(self, db: int = 0) -> str:
        """For Celery's `broker_url` and `result_backend`."""
        ...


class ExternalServer:
    """A server that somebody else runs: nothing here starts or stops it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def celery_url(self, db: int | None = None) -> str:
        """For Celery's `broker_url` and `result_backend`; the database of the URL when none is given."""
        return celery_url(self.url, db)

    def check(self) -> None:
        """Raises:
        ServerUnavailable: nothing answers there.
        """
        try:
            with redis.Redis.from_url(self.url, socket_connect_timeout=CONNECT_SECONDS, retry=Retry(NoBackoff(), 0)) as client:
                client.ping()
        except (redis.RedisError, OSError) as exc:
            raise ServerUnavailable(
                f"REDIS_URL is set to {without_password(self.url)}, and no server answers there ({exc}): start it, or unset REDIS_URL for one of our own"
            ) from exc


class _ServerSettings(Settings):
    redis_url: str | None = Field(None, validation_alias="REDIS_URL")


@contextmanager
def open_server(directory: Path | None = None) -> Iterator[ExternalServer | EmbeddedServer]:
    """The server that `REDIS_URL` names, else an embedded one that stops at the end of the block.

    Args:
        directory: where an embedded server keeps its data; a temporary one when None.

    Raises:
        ServerUnavailable: no `REDIS_URL`, and no server program either; or it didn't start.
    """
    url = _ServerSettings.load().redis_url
    if url is not None:
        yield ExternalServer(url)
        return
    with EmbeddedServer(directory) as server:
        yield server
