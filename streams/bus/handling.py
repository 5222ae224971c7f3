"""The steps of a subscriber with an entry that its handler couldn't deal with; their functions are in `lua/50_bus.lua`."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from enum import StrEnum

from streams.bus import clock
from streams.bus.codec import encode_json
from streams.bus.functions import FunctionCall, flat, verdict
from streams.bus.reader import Entry

MAX_ERROR_CHARS = 8_000
"""Of an error's message and of its traceback, in a dead letter."""


class GivenUp(StrEnum):
    """Why a message became a dead letter."""

    EXHAUSTED = "exhausted"
    """Its handler failed at each of its deliveries."""
    POISON = "poison"
    """Each consumer that had it died or lost its lease."""
    UNDECODABLE = "undecodable"
    """The entry is no message of the expected type."""
    OVERSIZE = "oversize"
    """It was never on its stream: it is over the size limit."""
    REFUSED = "refused"
    """It was never on its stream: the server won't add it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds an entry."""

    group: str
    consumer: str


def deliver_again(entry: Entry, holder: Holder, *, number: int) -> FunctionCall[str]:
    """Begin delivery `number` of an entry in hand. Returns `run` or `lost`; safe to send again."""
    return FunctionCall("deliver_again", (entry.stream,), (holder.group, holder.consumer, entry.id, number), verdict)


def give_up(entry: Entry, holder: Holder, dead_letters: str, why: dict[str, str]) -> FunctionCall[str]:
    """Move an entry to its dead letters (full key). Returns `dead_lettered` or `lost`; safe to send again, the second answer is then `lost`."""
    said = flat(why)
    return FunctionCall(
        "give_up", (entry.stream, dead_letters), (holder.group, holder.consumer, entry.id, len(said), *said, *flat(entry.fields)), verdict
    )


def why_given_up(reason: str, error: BaseException | str, *, deliveries: int, worker: str, first_failed_at: str | None = None) -> dict[str, str]:
    """What a dead letter says beside the message and where it was."""
    now = clock.moment()
    return {
        "reason": reason,
        "error": encode_json(described(error)).decode(),
        "deliveries": str(deliveries),
        "worker": worker,
        "first_failed_at": first_failed_at or now,
        "last_failed_at": now,
    }


def described(error: BaseException | str) -> dict[str, object]:
    """An error in the form that a job's error has on the wire."""
    if isinstance(error, str):
        return {"type": "WorkerCrashed", "message": error, "module": "", "traceback": "", "retryable": False}
    lines = traceback.format_exception(error)
    return {
        "type": type(error).__qualname__,
        "module": type(error).__module__,
        "message": _text(_said(error)),
        "traceback": _text("".join(lines)),
        "retryable": False,
    }


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as exc:  # noqa: BLE001 - whatever a stranger's __str__ raises
        return f"(its __str__ raised {type(exc).__qualname__})"


def _text(text: str) -> str:
    """Its end, where a traceback says what happened; safe to encode."""
    return text[-MAX_ERROR_CHARS:].encode("utf-8", "backslashreplace").decode()
