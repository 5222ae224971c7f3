"""Reading a stream through a consumer group so that nothing is lost and nobody steals.

Claim before read: what a dead consumer left comes first, then new entries. After each connect or reconnect nothing is claimed for one full
lease, or an outage longer than a lease would hand the work of live consumers to others; only what was handed back in order may be taken at once.
A reply that was lost is found again: the entries that Redis holds for this consumer and that it doesn't have in hand.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import redis
import redis.asyncio

from streams.bus.clients import CONNECTION_ERRORS
from streams.errors import NewerSchema

logger = logging.getLogger(__name__)

CLAIM_EVERY_SECONDS: Final = 1.0
CLAIM_WINDOW: Final = 1_000
"""Pending entries looked at in one go."""
HANDED_BACK: Final = "handed_back"
"""The consumer that holds what was handed back."""
HANDED_BACK_IDLE_MS: Final = 1_000_000_000
"""Idle time given to a handed-back entry (11 days), so that any claim takes it at once."""
NEWER_SCHEMA: Final = "newer_schema"
"""The consumer that holds what is of a later version than whoever read it."""


@contextmanager
def existing_group_is_fine() -> Iterator[None]:
    """Around XGROUP CREATE."""
    try:
        yield
    except redis.ResponseError as exc:
        if not str(exc).startswith("BUSYGROUP"):
            raise


def ensure_group(client: redis.Redis, stream: str, group: str) -> None:
    """Make a group at the beginning of a stream, if there is none: nothing that was sent before is missed."""
    with existing_group_is_fine():
        client.xgroup_create(stream, group, id="0", mkstream=True)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a stream, given to this consumer."""

    stream: str
    """Full key."""
    id: str
    fields: dict[str, str] = field(hash=False)
    deliveries: int = 1
    """How often it was given to a consumer, this time included."""

    @property
    def key(self) -> tuple[str, str]:
        """What identifies it on this server."""
        return (self.stream, self.id)


class GroupReader:
    """One consumer of one group on one or more streams. Call `done` for each entry once it is dealt with."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        streams: Sequence[str],
        *,
        group: str,
        consumer: str,
        lease: timedelta,
        handed_back_idle_ms: int | None = None,
        recover_own: bool = True,
        in_order: bool = False,
        take_turns: bool = False,
    ) -> None:
        """Read `streams` (full keys) as `consumer`.

        Args:
            client: an asyncio client of `streams.bus.clients`.
            streams: full keys, in the order of their importance.
            group: created at the beginning of each stream when it is missing.
            consumer: unique among the living.
            lease: how long an entry may go unrenewed before it is taken from its consumer.
            handed_back_idle_ms: idle time that marks an entry as handed back; None when this group knows no hand-back.
            recover_own: after a read error look for entries that were given to this consumer but never arrived.
            in_order: the streams are lanes: `count` is for all together, and a later one is read when the earlier ones are empty.
            take_turns: `count` is for all together, and each read begins with the next stream, so that none waits for ever.
        """
        self.client, self.streams, self.group, self.consumer = client, tuple(streams), group, consumer
        self.lease_ms = int(lease.total_seconds() * 1000)
        self.handed_back_idle_ms = handed_back_idle_ms
        self.in_hand: set[tuple[str, str]] = set()
        self._recover_own = recover_own
        self._take_turns = take_turns
        self._in_order = (in_order or take_turns) and len(self.streams) > 1
        self._told: set[tuple[str, str]] = set()
        self._connected_at: float | None = None
        self._recovering = recover_own
        self._last_claim = 0.0

    async def read(self, count: int, *, block_ms: int) -> list[Entry]:
        """Up to `count` entries per stream: lost, left behind, then new. Empty when there is nothing within `block_ms`.

        With `in_order` it is `count` in all; but when several streams get entries while it waits, one of each.

        Raises:
            one of CONNECTION_ERRORS: wait and call again; the lease rules start anew.
            redis.ResponseError: the server won't (no permission, out of memory ...); calling again is safe.
        """
        try:
            if self._connected_at is None:
                await self._create_groups()
                self._connected_at = time.monotonic()
            if self._take_turns:
                self.streams = (*self.streams[1:], *self.streams[:1])
            entries = await self._recover(count) if self._recovering else []
            entries = entries or await self._claim(count) or await self._read_new(count, block_ms)
        except CONNECTION_ERRORS:
            self._connected_at, self._recovering = None, self._recover_own
            raise
        except redis.ResponseError as exc:
            self._recovering = self._recover_own
            if not str(exc).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            logger.warning("group %s is gone (%s): the server was flushed or failed over; it is made again", self.group, exc)
            self._connected_at = None
            return []
        self.in_hand.update(entry.key for entry in entries)
        return entries

    def look_for_left_behind(self) -> None:
        """Claim with the next read, however short a time ago that was done."""
        self._last_claim = -math.inf

    def done(self, entry: Entry) -> None:
        """The entry is acknowledged, or given up: it may be given to this consumer again."""
        self.in_hand.discard(entry.key)

    async def give_back(self, entry: Entry, *, to: str = HANDED_BACK, idle_ms: int = HANDED_BACK_IDLE_MS, counted: bool = False) -> None:
        """Return an entry in the name of `to`, so that others may take it at once; the delivery isn't counted, unless it was begun and failed (`counted`)."""
        pending = await self.client.xpending_range(entry.stream, self.group, entry.id, entry.id, 1, self.consumer)
        if pending:
            count = max(0, int(pending[0]["times_delivered"]) - (not counted))
            await self.client.xclaim(entry.stream, self.group, to, 0, [entry.id], idle=idle_ms, retrycount=count, justid=True)
        self.done(entry)

    async def leave(self, entry: Entry, reason: NewerSchema) -> None:
        """Leave an entry for a consumer of a later version. It can be claimed again after a lease, so that a version that can't read it doesn't spin."""
        schema = (entry.stream, entry.fields.get("schema", ""))
        if schema not in self._told and len(self._told) < CLAIM_WINDOW:
            self._told.add(schema)
            logger.warning("%s: entry %s is left for a newer consumer, as will be others like it: %s", entry.stream, entry.id, reason)
        await self.give_back(entry, to=NEWER_SCHEMA, idle_ms=0)

    async def ack(self, *entries: Entry) -> None:
        """Acknowledge entries that need nothing else."""
        for stream in {entry.stream for entry in entries}:
            await self.client.xack(stream, self.group, *[entry.id for entry in entries if entry.stream == stream])
        for entry in entries:
            self.done(entry)

    async def _create_groups(self) -> None:
        for stream in self.streams:
            with existing_group_is_fine():
                await self.client.xgroup_create(stream, self.group, id="0", mkstream=True)

    async def _recover(self, count: int) -> list[Entry]:
        """Ours by the server's account, but not in hand. XRANGE rather than a history read, which would count as a delivery."""
        found: list[Entry] = []
        for stream in self.streams:
            pending = await self.client.xpending_range(stream, self.group, "-", "+", 1_000, self.consumer)
            lost = [row for row in pending if (stream, row["message_id"]) not in self.in_hand]
            for row in lost[:count]:
                rows = await self.client.xrange(stream, row["message_id"], row["message_id"])
                known: dict[Any, int] = {row["message_id"]: int(row["times_delivered"])}
                found += self._entries(stream, rows, known)
        self._recovering = bool(found)
        return found[:count]

    async def _claim(self, count: int) -> list[Entry]:
        now = time.monotonic()
        if now - self._last_claim < min(CLAIM_EVERY_SECONDS, self.lease_ms / 3000):
            return []
        self._last_claim = now
        settled = self._connected_at is not None and (now - self._connected_at) * 1000 >= self.lease_ms
        min_idle = self.lease_ms if settled else self.handed_back_idle_ms
        if min_idle is None:
            return []
        found: list[Entry] = []
        for stream in self.streams:
            if self._in_order and len(found) >= count:
                break
            # Not XAUTOCLAIM: after a pause it would claim what this consumer has in hand, and each claim counts as a delivery.
            idle = await self.client.xpending_range(stream, self.group, "-", "+", CLAIM_WINDOW, idle=min_idle)
            free = [row for row in idle if (stream, row["message_id"]) not in self.in_hand]
            free.sort(key=lambda row: row["consumer"] == NEWER_SCHEMA)  # many of them must not keep what a dead consumer left from being found
            left: dict[Any, int] = {
                row["message_id"]: int(row["times_delivered"]) + 1 for row in free[: count - len(found) if self._in_order else count]
            }
            if left:
                found += self._entries(stream, await self.client.xclaim(stream, self.group, self.consumer, min_idle, list(left)), left)
        return found

    async def renew(self) -> set[tuple[str, str]]:
        """Renew the lease on everything in hand, without counting a delivery; an entry that is another's by now stays that.

        Returns the keys of those that were in hand and are lost.
        """
        lost: set[tuple[str, str]] = set()
        for stream in self.streams:
            mine = [entry_id for name, entry_id in self.in_hand if name == stream]
            if mine:
                held = {row["message_id"] for row in await self.client.xpending_range(stream, self.group, "-", "+", CLAIM_WINDOW, self.consumer)}
                ours: list[Any] = [entry_id for entry_id in mine if entry_id in held]
                if ours:
                    await self.client.xclaim(stream, self.group, self.consumer, 0, ours, justid=True)
                lost.update((stream, entry_id) for entry_id in mine if entry_id not in held)
        return lost & self.in_hand  # what was acknowledged meanwhile isn't lost

    async def _read_new(self, count: int, block_ms: int) -> list[Entry]:
        if not self._in_order:
            return await self._read_streams(self.streams, count, block_ms)
        # One XREADGROUP over all would take `count` of each.
        found: list[Entry] = []
        for stream in self.streams:
            found += await self._read_streams((stream,), count - len(found), None)
            if len(found) >= count:
                break
        return found or await self._read_streams(self.streams, 1, block_ms)

    async def _read_streams(self, streams: Sequence[str], count: int, block_ms: int | None) -> list[Entry]:
        reply: Any = await self.client.xreadgroup(self.group, self.consumer, dict.fromkeys(streams, ">"), count=count, block=block_ms)
        return [entry for stream in streams for entry in self._entries(stream, (reply or {}).get(stream, []))]

    def _entries(self, stream: str, rows: Any, deliveries: Mapping[str, int] = MappingProxyType({})) -> list[Entry]:
        return [
            Entry(stream, entry_id, dict(fields), deliveries.get(entry_id, 1))
            for entry_id, fields in rows
            if fields is not None and (stream, entry_id) not in self.in_hand
        ]
