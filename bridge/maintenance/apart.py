"""The trouble of one service holds up no other's upkeep: its workers write what they like to keys of their own, a string where a list should be, say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import redis

T = TypeVar("T")
R = TypeVar("R")


def apart(things: Iterable[T], do: Callable[[T], R]) -> Iterator[R]:
    """Do it with each of them, and yield what came out.

    Raises:
        redis.ResponseError: the first that the server refused, when all the others are done.
    """
    refusal: redis.ResponseError | None = None
    for thing in things:
        try:
            outcome = do(thing)
        except redis.ResponseError as exc:
            refusal = refusal or exc
        else:
            yield outcome
    if refusal is not None:
        raise refusal
