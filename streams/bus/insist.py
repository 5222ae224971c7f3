"""Doing an idempotent step until the server answers.

Only for steps that may safely be sent again: every function of the library is fenced or keyed by a nonce, so that a lost reply costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TypeVar

import redis
import redis.asyncio
from tenacity import AsyncRetrying, RetryCallState, Retrying, retry_if_exception, retry_if_exception_type, stop_after_delay, wait_random_exponential

from streams.bus.clients import is_passing
from streams.bus.functions import FunctionCall, call, call_async, load_library_async
from streams.errors import FunctionLibraryMissing

logger = logging.getLogger(__name__)
T = TypeVar("T")

_WAIT = wait_random_exponential(multiplier=0.1, max=3)
_AGAIN = retry_if_exception(is_passing) | retry_if_exception_type(FunctionLibraryMissing)


def _log(state: RetryCallState) -> None:
    if state.attempt_number in {1, 5} or state.attempt_number % 20 == 0:
        error = state.outcome.exception() if state.outcome else None
        logger.warning("Redis: %s; trying again (try %d)", error, state.attempt_number)


async def insist_async(client: redis.asyncio.Redis, step: FunctionCall[T], *, load: bool = False) -> T:
    """Send the step until it is answered, for ever; cancel the task to give up.

    Args:
        client: as it is sent by.
        step: idempotent.
        load: load the function library where it is missing, if this user may.
    """
    async for attempt in AsyncRetrying(wait=_WAIT, retry=_AGAIN, before_sleep=_log, reraise=True, sleep=asyncio.sleep):
        with attempt:
            try:
                return await call_async(client, step)
            except FunctionLibraryMissing:
                if load:
                    with contextlib.suppress(redis.exceptions.NoPermissionError):
                        await load_library_async(client)
                raise
    raise AssertionError("unreachable")


async def acknowledge_async(client: redis.asyncio.Redis, stream: str, group: str, entry: str) -> None:
    """XACK an entry until the server answers, for ever; a repeat does nothing."""
    async for attempt in AsyncRetrying(wait=_WAIT, retry=_AGAIN, before_sleep=_log, reraise=True, sleep=asyncio.sleep):
        with attempt:
            await client.xack(stream, group, entry)


def insist(client: redis.Redis, step: FunctionCall[T], *, seconds: float) -> T:
    """Send the step until it is answered, at most for `seconds`; then the last error is raised."""
    for attempt in Retrying(wait=_WAIT, retry=_AGAIN, before_sleep=_log, reraise=True, stop=stop_after_delay(seconds)):
        with attempt:
            return call(client, step)
    raise AssertionError("unreachable")
