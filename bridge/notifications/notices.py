"""What people are told, as values: single events, and the one message that groups them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bridge.settings import Occasion

SHOWN: Final = 5
"""Of each group; the others are a number."""
LONGEST_LINE: Final = 300
HEADLINES: Final = {
    Occasion.CRITICAL: "critical",
    Occasion.RECOVERED: "recovered",
    Occasion.DEAD_LETTERED: "dead letters",
    Occasion.FAILED: "failed tasks",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One event."""

    occasion: Occasion
    about: str
    """What events of a kind have in common: the task's name and error, or the service and reason."""
    detail: str
    """What this one is: the task id, or the whole text."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent."""

    title: str
    body: str


def group(notices: Iterable[Notice], *, deployment: str = "", dropped: int = 0) -> Message:
    """One message about all of them: the worst first, the same things together, a few examples of each.

    Args:
        notices: at least one, or some that were dropped.
        deployment: its prefix, for the title.
        dropped: how many others there were for which there was no room.
    """
    groups: dict[tuple[Occasion, str], list[str]] = {}
    for notice in notices:
        groups.setdefault((notice.occasion, notice.about), []).append(notice.detail)
    order = list(HEADLINES)
    sections, counts = [], dict.fromkeys(order, 0)
    for (occasion, about), details in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), -len(item[1]))):
        counts[occasion] += len(details)
        more = [f"  and {len(details) - SHOWN} more"] if len(details) > SHOWN else []
        sections.append("\n".join([f"{len(details)} x {_line(about)}", *(f"  {_line(detail)}" for detail in details[:SHOWN]), *more]))
    if dropped:
        sections.append(f"{dropped} others for which there was no room")
    told = ", ".join(HEADLINES[occasion] if occasion in _STATES else f"{count} {HEADLINES[occasion]}" for occasion, count in counts.items() if count)
    return Message(f"celery streams{f' {deployment}' if deployment else ''}: {told or 'notices'}", "\n".join(sections))


_STATES: Final = (Occasion.CRITICAL, Occasion.RECOVERED)


def _line(text: str) -> str:
    """One line of it; what a job said may be of any length."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 3]}..."
