"""Redis clients with safe retry rules.

redis-py retries a command whose reply was lost; for an XADD or FCALL that means a second message (we saw one message become three). So these
clients never retry by themselves: what is idempotent is retried above, where that is known. `BLOCK` must stay below the socket timeout, or a
read hangs. Bytes that are no UTF-8 come through as surrogates and go back as the same bytes, so that a broken entry can be kept.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import hiredis
import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ReadOnlyError
from redis.retry import Retry

SOCKET_TIMEOUT_SECONDS: Final = 10.0
MAX_BLOCK_MS: Final = 5_000

CONNECTION_ERRORS: Final = (redis.ConnectionError, redis.TimeoutError, BusyLoadingError, ReadOnlyError, ConnectionError, asyncio.IncompleteReadError)
"""The server is away, starting or failing over: what was sent may or may not have happened."""

_PASSING: Final = ("OOM", "MISCONF", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY ", "UNBLOCKED", "LOADING", "READONLY")
"""Answers of a server that can't serve now: out of memory or disk, without its master or replicas, or busy with a script."""


def is_passing(error: BaseException) -> bool:
    """Whether the trouble may be over by itself, so that the same step may be sent again if it is safe to send twice."""
    if isinstance(error, CONNECTION_ERRORS):
        return True
    # redis-py strips the code from the message of the errors that it has a class for.
    return isinstance(error, redis.exceptions.OutOfMemoryError) or (isinstance(error, redis.ResponseError) and str(error).startswith(_PASSING))


_OPTIONS: Final[dict[str, Any]] = {
    "decode_responses": True,
    "encoding_errors": "surrogateescape",
    "legacy_responses": False,
    "socket_timeout": SOCKET_TIMEOUT_SECONDS,
    "socket_connect_timeout": 5.0,
}


class _Packer:
    """Commands as bytes. redis-py's own packer for synchronous clients, hiredis, knows nothing of `encoding_errors`: it refuses the bytes that came as
    surrogates, such as a publish id that a stranger chose.
    """

    @staticmethod
    def pack(*args: Any) -> list[bytes]:
        words = args[0].encode().split() if isinstance(args[0], str) else args[0].split()  # "CONFIG GET" is two
        return [hiredis.pack_command((*words, *map(_plain, args[1:])))]


def _plain(arg: Any) -> Any:
    if isinstance(arg, str):
        return arg.encode(errors="surrogateescape")
    return bytes(arg) if isinstance(arg, bytearray | memoryview) else arg


def connect(url: str, *, name: str | None = None) -> redis.Redis:
    """A synchronous client; connects on first use."""
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0), client_name=name, command_packer=_Packer(), **_OPTIONS)


def connect_async(url: str, *, name: str | None = None) -> redis.asyncio.Redis:
    """An asyncio client; connects on first use."""
    return redis.asyncio.Redis.from_url(url, retry=AsyncRetry(NoBackoff(), 0), client_name=name, **_OPTIONS)
