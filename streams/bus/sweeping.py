"""Steps of upkeep that look and remove at once; their functions are in `lua/60_upkeep.lua`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from streams.bus.functions import FunctionCall


def take_turn(turn: str, *, holder: str, seconds: float) -> FunctionCall[float]:
    """Whether it is the holder's turn, for so long: 0, or else how many seconds until it is free."""
    return FunctionCall("take_turn", (turn,), (holder, max(1, int(seconds * 1000))), lambda reply: int(reply) / 1000)


def keep_turn(turn: str, *, holder: str, seconds: float) -> FunctionCall[bool]:
    """The work goes on; False when it is another's turn by now."""
    return FunctionCall("keep_turn", (turn,), (holder, max(1, int(seconds * 1000))), bool)


def delete_consumers(stream: str, *, group: str, idle: timedelta, kept: str, most: int = 1_000) -> FunctionCall[tuple[str, ...]]:
    """Delete consumers that own nothing and have been idle for so long; returns their names.

    Args:
        stream: its full key.
        group: whose consumers.
        idle: since their last command.
        kept: the one that is never deleted.
        most: of them at a time.
    """
    args = (group, int(idle.total_seconds() * 1000), kept, most)
    return FunctionCall("delete_consumers", (stream,), args, lambda reply: tuple(map(str, reply)))


@dataclass(frozen=True, slots=True)
class Swept:
    """A part of a pending list."""

    ghosts: tuple[str, ...]
    after: str
    """Where to go on; "" at the end."""


def sweep_ghosts(stream: str, *, group: str, idle: timedelta, after: str = "-", most: int = 500) -> FunctionCall[Swept]:
    """Acknowledge what is pending for so long and no longer on its stream."""
    args = (group, int(idle.total_seconds() * 1000), after, most)
    return FunctionCall("sweep_ghosts", (stream,), args, lambda reply: Swept(tuple(map(str, reply[0])), str(reply[1])))


def purge_dead_letters(stream: str, fates: str, letters: Sequence[tuple[str, str]]) -> FunctionCall[int]:
    """Delete dead letters whose job is neither open nor parked, and what became of them; returns how many.

    Args:
        stream: full key of the dead letters.
        fates: key of what became of them (`Keys.fates`).
        letters: their ids, each with the key of its job.
    """
    return FunctionCall("purge_dead", (stream, fates, *(job for _, job in letters)), tuple(entry for entry, _ in letters), int)


def expire_jobs(jobs: Sequence[str], *, life: timedelta) -> FunctionCall[int]:
    """Give closed ledgers that would stay for ever the life of a tombstone; returns how many there were."""
    return FunctionCall("expire_jobs", tuple(jobs), (int(life.total_seconds() * 1000),), int)


def expire_runs(runs: Sequence[tuple[str, str]], *, life: timedelta) -> FunctionCall[int]:
    """The same for the workers' halves whose ledger is gone or goes by itself.

    Args:
        runs: the key of each, and that of its job.
        life: from now on.
    """
    return FunctionCall("expire_runs", tuple(key for pair in runs for key in pair), (int(life.total_seconds() * 1000),), int)
