"""The steps of a sender; their functions are in `lua/50_bus.lua`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from streams.bus.functions import FunctionCall, flat
from streams.bus.topology import Keys, may_be_capped
from streams.errors import PayloadTooLarge


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a message is."""

    id: str
    known: bool
    """It was there already: its key was used before."""


def send_once(
    keys: Keys, stream: str, fields: dict[str, str], *, idempotency_key: str, life: timedelta, cap: int | None = None
) -> FunctionCall[Placed]:
    """Add a message to a stream (logical name) unless its key has been used within `life`; safe to send again."""
    return FunctionCall(
        "send_once",
        (keys.sent(stream, idempotency_key), keys.stream(stream)),
        (int(life.total_seconds() * 1000), "" if cap is None else cap, *flat(fields)),
        _parse,
    )


def _parse(reply: Any) -> Placed:
    verdict, entry = reply
    return Placed(str(entry), verdict == "known")


def check_cap(stream: str, cap: int | None) -> None:
    """Refuse to cap a stream whose entries somebody waits for.

    Raises:
        ValueError: says which streams may be capped.
    """
    if cap is not None and (cap < 1 or not may_be_capped(stream)):
        raise ValueError(f"{stream} can't be capped at {cap}: only news may be dropped unread, on streams named ...:status or ...:events")


def check_size(stream: str, fields: dict[str, str], limit: int) -> None:
    """Refuse what is too large for a stream.

    Raises:
        PayloadTooLarge: says how large it is.
    """
    size = sum(len(part.encode(errors="surrogateescape")) for pair in fields.items() for part in pair)
    if size > limit:
        raise PayloadTooLarge(f"a message for {stream} has {size:,} bytes, STREAMS_MAX_MESSAGE_BYTES allows {limit:,}; send a file's URI instead")


def shortened(fields: dict[str, str], limit: int) -> dict[str, str]:
    """The fields of a message that is too large, each cut to `limit` characters; `cut` names those that were."""
    cut = [name for name, value in fields.items() if len(value) > limit]
    return {name: value[:limit] for name, value in fields.items()} | {"cut": ",".join(cut)}
