"""What the tasks do: plain functions, the same for an ordinary task (run in the Celery worker) and for a bridged one (run in the stream worker).

They know neither Celery nor Redis. What lasts from one attempt to the next is a file in the folder that TEST_FIDELITY_DIRECTORY names, under a key
that the scenario makes up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, Field

from streams.settings import Settings

GATE_SECONDS = 30.0
"""A gate that nobody opens: the test has failed by then."""


class WorkSettings(Settings):
    """Declared, so that the variable passes the scrubbing of a job's environment."""

    directory: Path = Field(default=Path(), validation_alias="TEST_FIDELITY_DIRECTORY")


class Broken(Exception):
    """An exception of the user's own, with arguments."""

    def __init__(self, part: str, code: int = 7) -> None:
        super().__init__(part, code)
        self.part, self.code = part, code

    def __str__(self) -> str:
        return f"{self.part} is broken ({self.code})"


class VeryBroken(Broken):
    """A subclass: what is said of its base holds for it."""


class Order(BaseModel):
    """For tasks with `pydantic=True`."""

    item: str
    amount: int = 1


class Receipt(BaseModel):
    item: str
    total: int


ERRORS: dict[str, type[Exception]] = {
    error.__name__: error for error in (ValueError, KeyError, ZeroDivisionError, RuntimeError, OSError, TimeoutError, Broken, VeryBroken)
}


def echo(value: Any = None) -> Any:
    return value


def nothing() -> None:
    return None


def add(x: int, y: int) -> int:
    return x + y


def total(values: Sequence[int]) -> int:
    return sum(values)


def keywords(*, a: int, b: int = 2) -> dict[str, int]:
    return {"a": a, "b": b}


def anything(*args: Any, **kwargs: Any) -> list[Any]:
    return [list(args), kwargs]


def fail(error: str = "ValueError", message: Any = "it failed") -> NoReturn:
    raise ERRORS[error](message)


def fail_after(value: Any, error: str = "ValueError") -> NoReturn:
    """A link of a chain: takes the result of the one before."""
    raise ERRORS[error](f"after {value}")


def fail_because(error: str = "ValueError") -> NoReturn:
    """With a cause."""
    try:
        fail("KeyError", "missing")
    except KeyError as exc:
        raise ERRORS[error]("because of something else") from exc


def flaky(key: str, failures: int = 1, error: str = "ValueError", value: Any = "at last") -> Any:
    """Fails the first `failures` times that it runs under this key."""
    runs = count(key)
    if runs <= failures:
        raise ERRORS[error](f"run {runs} of {failures} that fail")
    return value


def flaky_after(value: Any, key: str, failures: int = 1) -> Any:
    return flaky(key, failures, "ValueError", value)


def flaky_gate(key: str) -> Any:
    """Fails first, then waits."""
    flaky(key)
    return gate(key)


def slow_at_first(key: str) -> Any:
    if count(key) == 1:
        gate(key)
    return "faster"


def sleep(seconds: float, value: Any = "slept") -> Any:
    time.sleep(seconds)
    return value


def gate(key: str, value: Any = "through") -> Any:
    """Runs until the scenario opens it."""
    wait_for(WorkSettings.load().directory / f"{key}.open")
    return value


def big(size: int) -> str:
    return "x" * size


def big_error(size: int) -> NoReturn:
    raise ValueError("x" * size)


def order(order: Order) -> Receipt:
    return Receipt(item=order.item, total=10 * order.amount)


def replaced(signature: Any) -> NoReturn:
    """Never done: the body replaces itself."""
    raise AssertionError(f"{signature} should have been run instead")


def one_more(signature: Any, value: Any = "one") -> Any:
    """The body adds `signature` to the chord that it is part of."""
    return value


def count(key: str) -> int:
    """How often this was called with the key."""
    path = WorkSettings.load().directory / f"{key}.count"
    with path.open("ab", buffering=0) as file:
        file.write(b"x")
    return len(path.read_bytes())


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + GATE_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody opened {path.name}")
        time.sleep(0.01)


def run_logged(task_id: str, function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Run it, and leave a line that says so: one write, so lines of parallel jobs don't mix."""
    with (WorkSettings.load().directory / "runs").open("ab", buffering=0) as log:
        log.write(json.dumps([task_id, function.__name__]).encode() + b"\n")
    return function(*args, **kwargs)
