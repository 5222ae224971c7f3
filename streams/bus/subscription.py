"""A background listener: one consumer of a group, its handler, retries and dead letters.

Each entry that was read is a task of its own: handler, then XACK. A handler that fails is called again after a backoff, as the next delivery, by this consumer, or
by another when this one is gone by then; after `max_deliveries` the message is a dead letter. While an entry is in hand its lease is renewed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Generic

import redis
import redis.asyncio

from streams.bus import clock
from streams.bus.backoff import Backoff
from streams.bus.clients import CONNECTION_ERRORS
from streams.bus.handling import GivenUp, Holder, deliver_again, give_up, why_given_up
from streams.bus.insist import acknowledge_async, insist_async
from streams.bus.reader import HANDED_BACK_IDLE_MS, Entry, GroupReader
from streams.bus.received import M, Received
from streams.bus.topology import Keys, dead_letters_of
from streams.errors import DecodeError, NewerSchema

logger = logging.getLogger(__name__)

BLOCK_MS: Final = 500
MOST_IN_HAND: Final = 500
"""Entries that run or wait for their next delivery; beyond that nothing new is read."""
GRACE: Final = timedelta(seconds=10)
HAND_BACK_SECONDS: Final = 5.0
"""For what is cancelled to end, and to be handed back."""

Handler = Callable[[M, Received[M]], Awaitable[object]]
"""Called with the message, and the entry that it came in. It runs in the event loop: what blocks belongs in `asyncio.to_thread`."""


@dataclass(frozen=True, slots=True)
class Terms(Generic[M]):
    """What was agreed on when somebody subscribed."""

    streams: Sequence[str]
    """Logical names."""
    group: str
    handler: Handler[M]
    message_type: type[M]
    consumer: str
    lease: timedelta
    concurrency: int = 1
    max_deliveries: int = 3
    backoff: Backoff = field(default_factory=Backoff)


class Subscription(Generic[M]):
    """A running listener; `RedisStreamsEventBus.subscribe` makes it."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, terms: Terms[M]) -> None:
        self.client, self.keys, self.terms = client, keys, terms
        self._names = {keys.stream(name): name for name in terms.streams}
        self._holder = Holder(terms.group, terms.consumer)
        self._reader = GroupReader(
            client,
            list(self._names),
            group=terms.group,
            consumer=terms.consumer,
            lease=terms.lease,
            handed_back_idle_ms=HANDED_BACK_IDLE_MS // 2,
            take_turns=True,
        )
        self._entries: set[asyncio.Task[None]] = set()
        self._handlers: dict[tuple[str, str], asyncio.Task[None]] = {}
        """By entry, while the handler runs."""
        self._lost: set[tuple[str, str]] = set()
        self._busy = 0
        """Entries whose handler runs, or has its turn next: all but those that wait for their next delivery."""
        self._slots = asyncio.Semaphore(terms.concurrency)
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._renew())]

    def __str__(self) -> str:
        """As the log names it."""
        return f"{self.terms.group} on {', '.join(self.terms.streams)}"

    async def stop(self, grace: timedelta = GRACE) -> None:
        """Read no more, let what runs finish within the grace, and hand the rest back: others get it at once, and the delivery isn't counted."""
        self._stopping.set()
        self._changed.set()
        listening, renewing = self._tasks
        await asyncio.wait([listening])  # within one block: what it reads last is given back
        if self._entries:
            await asyncio.wait(self._entries, timeout=grace.total_seconds())
        for handler in self._handlers.values():
            handler.cancel()
        if self._entries:
            _, left = await asyncio.wait(self._entries, timeout=HAND_BACK_SECONDS)
            for task in left:
                task.cancel()
            if left:
                logger.warning("%s: %d entries couldn't be handed back; others take them after a lease", self, len(left))
        renewing.cancel()
        await asyncio.gather(renewing, *self._entries, return_exceptions=True)

    # -------------------------------------------------------------------------------------------------------------------------- reading

    async def _listen(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            free = min(self.terms.concurrency - self._busy, MOST_IN_HAND - len(self._entries))
            if free <= 0:
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                entries = await self._reader.read(free, block_ms=BLOCK_MS)
                failures = 0
            except Exception as exc:  # noqa: BLE001 - whatever it is, listening goes on
                failures += 1
                if failures == 1 or failures % 20 == 0:
                    logger.warning("%s: %s: %s; trying again", self, type(exc).__name__, exc)
                await self._pause(min(3.0, 0.1 * 2 ** min(failures, 5)))
                continue
            for entry in entries:
                if self._stopping.is_set() or self._busy >= self.terms.concurrency:
                    await self._give_back(entry)
                else:
                    self._start(entry)

    def _start(self, entry: Entry) -> None:
        self._busy += 1
        task = asyncio.create_task(self._deal_with(entry))
        self._entries.add(task)
        task.add_done_callback(self._entries.discard)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self.terms.lease.total_seconds() / 3)
            try:
                lost = await self._reader.renew()
            except Exception as exc:  # noqa: BLE001 - whatever it is, it is tried again
                logger.warning("%s: leases aren't renewed: %s: %s", self, type(exc).__name__, exc)
                continue
            for key in lost & self._handlers.keys():
                self._lost.add(key)
                self._handlers[key].cancel()

    async def _pause(self, seconds: float) -> None:
        """Until the time is up, or the stop comes."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _give_back(self, entry: Entry, *, counted: bool = False) -> None:
        try:
            await self._reader.give_back(entry, counted=counted)
        except (*CONNECTION_ERRORS, redis.RedisError) as exc:
            logger.warning("%s: entry %s isn't given back (%s): others take it after a lease", self, entry.id, exc)

    # ------------------------------------------------------------------------------------------------------------------------ one entry

    async def _deal_with(self, entry: Entry) -> None:
        """From its reading to its end here; whatever goes wrong, it stays pending and is claimed after a lease."""
        try:
            await self._decode_and_handle(entry)
        except Exception:
            logger.exception("%s: entry %s can't be dealt with now", self, entry.id)
        finally:
            self._reader.done(entry)
            self._lost.discard(entry.key)
            self._busy -= 1
            self._changed.set()

    async def _decode_and_handle(self, entry: Entry) -> None:
        received = Received(self._names[entry.stream], entry.id, entry.fields, self.terms.message_type, entry.deliveries)
        try:
            message = received.message
        except NewerSchema as exc:
            await self._reader.leave(entry, exc)
            return
        except DecodeError as exc:
            await self._give_up(entry, GivenUp.UNDECODABLE, exc, entry.deliveries)
            return
        if entry.deliveries > self.terms.max_deliveries:
            await self._give_up(entry, GivenUp.POISON, "each consumer that had this message died or lost its lease", entry.deliveries - 1)
            return
        await self._handle(entry, message, received)

    async def _handle(self, entry: Entry, message: M, received: Received[M]) -> None:
        first_failed_at = None
        while True:
            failure = await self._call(entry, message, received)
            if failure is None:
                await acknowledge_async(self.client, entry.stream, self.terms.group, entry.id)
                return
            if isinstance(failure, _Ended):
                await self._end(entry, failure)
                return
            first_failed_at = first_failed_at or clock.moment()
            if received.delivery >= self.terms.max_deliveries:
                await self._give_up(entry, GivenUp.EXHAUSTED, failure, received.delivery, first_failed_at)
                return
            delay = self.terms.backoff.delay(received.delivery).total_seconds()
            logger.warning("%s: entry %s: delivery %d: %r; again in %.1f s", self, entry.id, received.delivery, failure, delay)
            await self._wait_for_next_delivery(delay)
            if self._stopping.is_set():
                await self._give_back(entry, counted=True)
                return
            received = Received(received.stream, entry.id, entry.fields, self.terms.message_type, received.delivery + 1)
            if await insist_async(self.client, deliver_again(entry, self._holder, number=received.delivery), load=True) == "lost":
                logger.warning("%s: entry %s: another consumer has it by now", self, entry.id)
                return

    async def _call(self, entry: Entry, message: M, received: Received[M]) -> BaseException | None:
        """Run the handler; returns None, its exception, or how it was ended."""
        async with self._slots:
            if self._stopping.is_set():
                return _Ended("stopped")
            handler = asyncio.create_task(self._await_handler(message, received))
            self._handlers[entry.key] = handler
            try:
                await asyncio.wait([handler])
            finally:
                del self._handlers[entry.key]
                handler.cancel()  # nothing, when it is done
            if not handler.cancelled():
                return handler.exception()
            if entry.key in self._lost:
                return _Ended("lost")
            return _Ended("stopped") if self._stopping.is_set() else asyncio.CancelledError("the handler cancelled itself")

    async def _await_handler(self, message: M, received: Received[M]) -> None:
        await self.terms.handler(message, received)

    async def _end(self, entry: Entry, how: _Ended) -> None:
        if str(how) == "lost":
            logger.error("%s: entry %s: the lease was lost, its handler is cancelled; another consumer has it", self, entry.id)
        else:
            await self._give_back(entry)
            logger.info("%s: entry %s: handed back", self, entry.id)

    async def _wait_for_next_delivery(self, seconds: float) -> None:
        """Its slot is free meanwhile."""
        self._busy -= 1
        self._changed.set()
        try:
            await self._pause(seconds)
        finally:
            self._busy += 1

    async def _give_up(self, entry: Entry, reason: GivenUp, error: BaseException | str, deliveries: int, first_failed_at: str | None = None) -> None:
        dead_letters = dead_letters_of(self._names[entry.stream])
        why = why_given_up(reason, error, deliveries=deliveries, worker=self.terms.consumer, first_failed_at=first_failed_at)
        verdict: Any = await insist_async(self.client, give_up(entry, self._holder, self.keys.stream(dead_letters), why), load=True)
        logger.error("%s: entry %s: %s: %s; %s", self, entry.id, reason, error, f"it is in {dead_letters}" if verdict == "dead_lettered" else verdict)


class _Ended(Exception):
    """`stopped` or `lost`."""
