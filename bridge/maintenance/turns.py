"""Whose turn it is: of all bridges and beats one does a work at a time, once in its interval. What came out is noted in `Keys.upkeep`.

A turn is a key with a TTL. It is renewed while the work goes on, and stays when it is done until the interval is over. Who is killed over a work keeps it from
the others for no longer than one interval.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

import redis

from bridge.connection import Connection
from bridge.maintenance.registry import Work
from streams.bus import clock
from streams.bus.codec import encode_json
from streams.bus.sweeping import keep_turn, take_turn

logger = logging.getLogger(__name__)

SHARE: Final = 0.9
"""Of the interval: who asks once in an interval, a moment early or late, gets its turn."""
_busy: set[str] = set()
"""The turns of this process."""
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of asking for one's turn."""

    done: bool
    outcome: object = None
    free_in_seconds: float = 0.0
    """When it isn't ours: when to ask again."""


def do_in_turn(connection: Connection, work: Work, *, by: str) -> Turn:
    """Do a work if it is this process's turn.

    Args:
        connection: of the app.
        work: which one.
        by: who does it, for those who ask.

    Raises:
        Exception: what the work raises, after it is noted.
    """
    key, seconds = connection.keys.upkeep_turn(work.name), SHARE * work.every_seconds(connection.settings)
    with _once_here(key) as free:
        if not free:
            return Turn(done=False, free_in_seconds=seconds)
        holder = f"{by} {socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"
        wait = connection.call(take_turn(key, holder=holder, seconds=seconds))
        if wait:
            return Turn(done=False, free_in_seconds=wait)
        with _kept(connection, key, holder, seconds):
            return Turn(done=True, outcome=_do(connection, work, by))


@contextmanager
def _once_here(key: str) -> Iterator[bool]:
    """Also when the server has lost the turn meanwhile, a work doesn't overlap itself in this process."""
    with _lock:
        free = key not in _busy
        _busy.add(key)
    try:
        yield free
    finally:
        if free:
            with _lock:
                _busy.discard(key)


@contextmanager
def _kept(connection: Connection, key: str, holder: str, seconds: float) -> Iterator[None]:
    """While inside, the turn is renewed, by a thread that isn't there for a short work."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(seconds / 3):
            # Away: it is tried again, and if somebody else begins meanwhile that does no harm.
            with contextlib.suppress(redis.RedisError, OSError):
                if not connection.call(keep_turn(key, holder=holder, seconds=seconds)):
                    logger.warning("upkeep: the turn %s went to another", key)
                    return

    keeper = threading.Thread(target=keep, name=f"turn {key}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _do(connection: Connection, work: Work, by: str) -> object:
    noted: dict[str, Any] = {"at": clock.moment(), "by": by}
    started = time.monotonic()
    try:
        outcome = noted["outcome"] = work.do(connection)
    except Exception as exc:
        noted["error"] = f"{type(exc).__name__}: {exc}"
        raise
    finally:
        noted["seconds"] = round(time.monotonic() - started, 4)
        with contextlib.suppress(redis.RedisError, OSError):
            connection.client.hset(connection.keys.upkeep, work.name, encode_json(noted))
    return outcome
