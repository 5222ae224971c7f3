"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.02


def wait_until(predicate: Callable[[], T], timeout: float = 20, message: str | Callable[[], str] = "") -> T:
    """Call `predicate` until what it returns is true, and return that.

    Args:
        timeout: seconds.
        message: says what was waited for, or is called to say how things stand when time is up.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_report(timeout, message, value))
        time.sleep(POLL_SECONDS)


async def async_wait_until(predicate: Callable[[], T], timeout: float = 20, message: str | Callable[[], str] = "") -> T:  # noqa: ASYNC109 - one meaning in both
    """The same inside an event loop, which goes on meanwhile; `predicate` itself is a plain function."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_report(timeout, message, value))
        await asyncio.sleep(POLL_SECONDS)


def _report(timeout: float, message: str | Callable[[], str], value: object) -> str:
    said = message() if callable(message) else message
    return f"not so after {timeout:g} s: {said or 'the condition'} (last value: {value!r})"
