"""Reading a stream without a group: from its beginning, after an entry, or from a time; to its end, or on and on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import redis
import redis.asyncio

from streams.bus.backoff import Backoff
from streams.bus.clients import CONNECTION_ERRORS, is_passing
from streams.bus.entry_ids import just_before, last_until, order_of
from streams.bus.received import M, Received
from streams.errors import ServerUnavailable

logger = logging.getLogger(__name__)

PAGE: Final = 500
BLOCK_MS: Final = 1_000
BEGINNING: Final = "0-0"
NOW: Final = "$"
"""As in XREAD: only what comes from now on."""


async def replay(
    client: redis.asyncio.Redis,
    key: str,
    stream: str,
    message_type: type[M],
    *,
    since: str | datetime | None,
    until: str | datetime | None,
    count: int | None,
    follow: bool,
) -> AsyncIterator[Received[M]]:
    """The entries of a stream; see `RedisStreamsEventBus.read`."""
    pages = _following(client, key, since) if follow else _existing(client, key, since)
    end = last_until(until) if isinstance(until, datetime) else until
    given = 0
    if count == 0:
        return
    async for rows in pages:
        for entry_id, fields in rows:
            if (count is not None and given >= count) or (end is not None and order_of(entry_id) > order_of(end)):
                return
            yield Received(stream, entry_id, dict(fields), message_type)
            given += 1
        if count is not None and given >= count:
            return


async def _existing(client: redis.asyncio.Redis, key: str, since: str | datetime | None) -> AsyncIterator[Any]:
    last = await _start(client, key, since)
    while True:
        try:
            rows: Any = await client.xrange(key, f"({last}", "+", PAGE)
        except CONNECTION_ERRORS as exc:
            raise ServerUnavailable(f"{key} can't be read on after {last}: {exc}") from exc
        if not rows:
            return
        yield rows
        last = rows[-1][0]


async def _following(client: redis.asyncio.Redis, key: str, since: str | datetime | None) -> AsyncIterator[Any]:
    last, failures, backoff = None, 0, Backoff()
    while True:
        try:
            last = last or await _start(client, key, since)
            reply: Any = await client.xread({key: last}, count=PAGE, block=BLOCK_MS)
        except (ServerUnavailable, redis.RedisError, *CONNECTION_ERRORS) as exc:
            if not isinstance(exc, ServerUnavailable) and not is_passing(exc) and not str(exc).startswith("UNBLOCKED"):
                raise
            failures += 1
            if failures == 1 or failures % 20 == 0:
                logger.warning("%s: reading: %s: %s; trying again", key, type(exc).__name__, exc)
            await asyncio.sleep(min(3.0, backoff.delay(failures).total_seconds() / 10))
            continue
        failures = 0
        rows = (reply or {}).get(key, [])
        if rows:
            yield rows
            last = rows[-1][0]


async def _start(client: redis.asyncio.Redis, key: str, since: str | datetime | None) -> str:
    """The id that reading begins after."""
    if isinstance(since, datetime):
        return just_before(since)
    if since != NOW:
        return since or BEGINNING
    try:
        info: Any = await client.xinfo_stream(key)
    except CONNECTION_ERRORS as exc:
        raise ServerUnavailable(f"{key} can't be read: {exc}") from exc
    except redis.ResponseError as exc:
        if "no such key" in str(exc):
            return BEGINNING
        raise
    return str(info["last-generated-id"])
