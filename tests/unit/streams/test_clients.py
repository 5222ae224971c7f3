"""Which troubles may pass by themselves."""

from __future__ import annotations

import pytest
import redis

from streams.bus.clients import is_passing


@pytest.mark.parametrize(
    "error",
    [
        redis.ConnectionError("gone"),
        redis.TimeoutError("slow"),
        redis.exceptions.BusyLoadingError("loading"),
        redis.exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        redis.ResponseError("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk"),
        redis.ResponseError("BUSY Redis is busy running a script."),
        ConnectionResetError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_server_that_cant_serve_now_may_serve_later(error: Exception) -> None:
    assert is_passing(error)


@pytest.mark.parametrize(
    "error", [redis.ResponseError("WRONGTYPE"), redis.exceptions.NoPermissionError("no"), redis.ResponseError("BUSYGROUP"), ValueError()]
)
def test_a_refusal_stays_one(error: Exception) -> None:
    assert not is_passing(error)
