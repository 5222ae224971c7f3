"""JSON on the wire, from whatever Python and its data libraries produce.

NaN and infinities become null; datetimes become ISO-8601 in UTC; numpy, pandas, Decimal, enum, UUID, Path, dataclass and pydantic values
are encoded; anything else is an `EncodeError` that names the path of its key.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any

import orjson
from pydantic import BaseModel

from streams.errors import DecodeError, EncodeError

OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS | orjson.OPT_NAIVE_UTC | orjson.OPT_PASSTHROUGH_DATETIME


def encode_json(value: object) -> bytes:
    """Encode a value as JSON.

    Raises:
        EncodeError: names the path of the first key whose value can't be encoded.
    """
    try:
        return orjson.dumps(value, default=_plain, option=OPTIONS)
    except (TypeError, ValueError) as exc:
        path, reason = _first_bad(value) or ("$", str(exc))
        raise EncodeError(f"{path}: {reason}") from None


def decode_json(text: bytes | str) -> Any:
    """Decode JSON text.

    Raises:
        DecodeError: the text is no JSON; says where.
    """
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, UnicodeEncodeError) as exc:
        raise DecodeError(f"not JSON: {exc}") from None


def to_json_safe(value: object) -> Any:
    """The plain dicts, lists, strings and numbers that a value is on the other side of the wire."""
    return decode_json(encode_json(value))


def encode_datetime(moment: datetime) -> str:
    """ISO-8601 in UTC; a naive datetime is taken as UTC."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat()


def _plain(value: Any) -> Any:
    """What orjson doesn't know by itself, turned into something it knows."""
    if isinstance(value, datetime):
        return None if value != value else encode_datetime(value)  # noqa: PLR0124 - pandas' NaT is a datetime that differs from itself
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else None
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, BaseModel):
        return value.model_dump(mode="python")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, Mapping):
        return dict(value)
    return _from_data_library(value)


def _from_data_library(value: Any) -> Any:
    """numpy and pandas, told by their methods: neither is imported here, a bridge has no use for them."""
    module = type(value).__module__.split(".")[0]
    if module == "pandas":
        if type(value).__name__ == "DataFrame":
            return value.to_dict(orient="records")
        if type(value).__name__ in {"NaTType", "NAType"}:
            return None
        if hasattr(value, "to_pydatetime") and hasattr(value, "isoformat"):
            return encode_datetime(value.to_pydatetime())
        if hasattr(value, "tolist"):
            return value.tolist()
        return str(value)
    if module == "numpy":
        return value.tolist()
    raise TypeError(f"{type(value).__module__}.{type(value).__qualname__} can't go over the wire")


def _first_bad(value: Any, path: str = "$") -> tuple[str, str] | None:
    """Depth first, the first value that can't be encoded: its path and why. Only runs after a failure."""
    try:
        orjson.dumps(value, default=_plain, option=OPTIONS)
    except (TypeError, ValueError) as exc:
        for step, child in _children(value):
            found = _first_bad(child, path + step)
            if found:
                return found
        return path, str(exc.__cause__ or exc)
    return None


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="python")
    if isinstance(value, Mapping):
        yield from ((f".{key}", child) for key, child in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{index}]", child) for index, child in enumerate(value))


def printable(raw: str) -> str:
    """Text as read from Redis, safe to print and to encode again: bytes that are no UTF-8 become base64."""
    try:
        raw.encode()
    except UnicodeEncodeError:
        return "base64:" + base64.b64encode(raw.encode(errors="surrogateescape")).decode()
    return raw


def shown(text: str) -> str:
    """Text that somebody may have written to steer a terminal, or with bytes that are no UTF-8, as people and programs may be shown it; lines stay lines."""
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)
