"""A variable that holds a table for each of several things: JSON, or `@` and the path of a .toml or .json file."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any


def read_tables(value: Any) -> Any:
    """What the variable says; a value that is no text is given back as it is.

    Raises:
        ValueError: it can't be read; says why.
    """
    if not isinstance(value, str):
        return value
    if value.startswith("@"):
        return _from_file(Path(value[1:]))
    try:
        return json.loads(value)
    except ValueError as exc:
        raise ValueError(f"is no JSON object ({exc}); a file's path begins with @") from None


def _from_file(path: Path) -> Any:
    readers = {".toml": tomllib.loads, ".json": json.loads}
    if path.suffix not in readers:
        raise ValueError(f"{path} is neither a .toml nor a .json file")
    try:
        return readers[path.suffix](path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ValueError(f"{path} can't be read: {exc.strerror or exc}") from None
    except ValueError as exc:
        raise ValueError(f"{path} is no valid {path.suffix[1:].upper()}: {exc}") from None
