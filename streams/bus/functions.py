"""Redis Functions: each step whose condition and write must be atomic is one function of one library.

The library's name and its functions' names carry a version (`csb1_finish`): functions are server-wide, and two versions of this system may share
a server during a rolling restart. The management side loads the library; workers only FCALL.

A step is a pure value, `FunctionCall`: which function, on which keys, with which arguments, and how its reply reads. `call` and `call_async` are
the only two places that talk to Redis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final, Generic, TypeVar

import redis
import redis.asyncio

from streams.errors import FunctionLibraryMissing

LIBRARY: Final = "csb1"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FunctionCall(Generic[T]):
    """One atomic step, ready to be sent."""

    name: str
    """Without the library's name."""
    keys: tuple[str, ...]
    args: tuple[str | int | float | bytes, ...]
    parse: Callable[[Any], T]

    def command(self) -> tuple[Any, ...]:
        """The arguments of FCALL."""
        return (f"{LIBRARY}_{self.name}", len(self.keys), *self.keys, *self.args)


def call(client: redis.Redis, step: FunctionCall[T]) -> T:
    """Do one step.

    Raises:
        FunctionLibraryMissing: the server doesn't hold the library.
    """
    try:
        return step.parse(client.fcall(*step.command()))
    except redis.ResponseError as exc:
        raise _translated(exc) from exc


async def call_async(client: redis.asyncio.Redis, step: FunctionCall[T]) -> T:
    """Do one step; the same as `call`."""
    try:
        return step.parse(await client.fcall(*step.command()))
    except redis.ResponseError as exc:
        raise _translated(exc) from exc


def library_source() -> str:
    """The Lua source of the library: its short files, joined in the order of their names."""
    folder = resources.files("streams") / "lua"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".lua")), key=lambda file: file.name)
    return f"#!lua name={LIBRARY}\n" + "\n".join(file.read_text() for file in files)


def load_library(client: redis.Redis) -> None:
    """Load the library into the server, or replace it; idempotent."""
    client.function_load(library_source(), replace=True)


async def load_library_async(client: redis.asyncio.Redis) -> None:
    """The same as `load_library`."""
    await client.function_load(library_source(), replace=True)


def _translated(exc: redis.ResponseError) -> Exception:
    if "Function not found" in str(exc):
        return FunctionLibraryMissing(f"the server holds no function library {LIBRARY}; the bridge loads it when it starts: `celery -A tasks bridge`")
    return exc


def flat(fields: dict[str, str]) -> tuple[str, ...]:
    """Fields as XADD takes them: name, value, name, value ..."""
    return tuple(part for pair in fields.items() for part in pair)


def verdict(reply: Any) -> str:
    """The first value of a reply: what the function decided."""
    return str(reply[0])
