"""Sending a message exactly once: retries, then the dead letters or the spool."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis
import redis.asyncio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from streams.bus.clients import is_passing
from streams.bus.functions import call_async, load_library_async
from streams.bus.handling import GivenUp, why_given_up
from streams.bus.messages import EventMessage
from streams.bus.sending import Placed, check_cap, check_size, send_once, shortened
from streams.bus.settings import EventBusSettings
from streams.bus.spool import REFUSED, Spool, SpooledMessage
from streams.bus.topology import dead_letters_of
from streams.errors import FunctionLibraryMissing, NotSent, PayloadTooLarge, SendRefused

logger = logging.getLogger(__name__)

WAIT: Final = wait_random_exponential(multiplier=0.2, max=10)
KEPT_CHARS: Final = 2_000
"""Of each field of a message that is too large, in its dead letter."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Where a message is."""

    id: str | None
    """Its entry; None while it is in the spool."""
    idempotency_key: str
    spooled: Path | None = None


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of a spool's messages."""

    sent: int = 0
    known: int = 0
    """They were on their streams already: only the answer had been lost."""
    refused: int = 0
    """They are dead letters now; or set aside in the spool's folder, where the dead letters' stream refuses them too."""
    too_late: int = 0
    """Their idempotency keys may be forgotten, or they can't be read: they are set aside in the spool's folder, for somebody to look at."""


class Sender:
    """The sending half of an event bus."""

    def __init__(self, client: redis.asyncio.Redis, settings: EventBusSettings, *, worker: str) -> None:
        self.client, self.settings, self.worker = client, settings, worker
        self.spool = None if settings.spool_dir is None else Spool(settings.spool_dir, life=settings.idempotency_life)
        self._draining, self._trying = asyncio.Lock(), asyncio.Lock()
        self._failed_at = 0.0
        """By the loop's clock: when the spool couldn't be drained."""

    async def send(self, stream: str, message: EventMessage, max_retries: int, *, idempotency_key: str, cap: int | None) -> Sent:
        """See `RedisStreamsEventBus.send_with_retry`."""
        check_cap(stream, cap)
        mail = SpooledMessage(stream=stream, fields=message.to_redis_dict(), idempotency_key=idempotency_key, cap=cap)
        try:
            check_size(stream, mail.fields, self.settings.max_message_bytes)
        except PayloadTooLarge as exc:
            raise await self._refuse(mail, shortened(mail.fields, KEPT_CHARS), GivenUp.OVERSIZE, exc) from exc
        if not await self.drain_if_possible():
            return await self._put_aside(mail, NotSent(f"a message for {stream} isn't there, as others wait before it", idempotency_key))
        try:
            placed = await self._place(mail, max_retries)
        except NotSent as exc:
            return await self._put_aside(mail, exc)
        return Sent(placed.id, idempotency_key)

    async def move_to_dead_letter(self, stream: str, fields: dict[str, str], *, reason: str, error: BaseException | str, idempotency_key: str) -> str:
        """See `RedisStreamsEventBus.move_to_dead_letter`."""
        why = why_given_up(reason, error, deliveries=0, worker=self.worker)
        letter = {**fields, "source_stream": self.settings.keys.stream(stream), "source_id": "", **why}
        mail = SpooledMessage(stream=dead_letters_of(stream), fields=letter, idempotency_key=f"dead:{stream}:{idempotency_key}", cap=None)
        return (await self._try(mail, max_retries=3)).id

    async def drain(self) -> Drained:
        """See `RedisStreamsEventBus.drain_spool`."""
        if self.spool is None:
            return Drained()
        sent = known = refused = too_late = 0
        async with self._draining:
            with self.spool.locked() as mine:
                for file in await asyncio.to_thread(self.spool.files) if mine else ():
                    mail = await asyncio.to_thread(self.spool.load, file)
                    if mail is None:
                        too_late += 1
                        continue
                    try:
                        placed = await self._place(mail, max_retries=3)
                        known, sent = known + placed.known, sent + (not placed.known)
                    except SendRefused as exc:
                        refused += 1
                        if exc.dead_letter_id is None:
                            await asyncio.to_thread(self.spool.set_aside, file, REFUSED, str(exc))
                            continue
                    await asyncio.to_thread(self.spool.remove, file)
        if sent or known or refused or too_late:
            logger.info("the spool %s is drained: %d sent, %d known, %d refused, %d too late", self.spool.folder, sent, known, refused, too_late)
        return Drained(sent, known, refused, too_late)

    async def drain_if_possible(self) -> bool:
        """Whether nothing waits in the spool any more."""
        if self.spool is None or not await asyncio.to_thread(self.spool.files):
            return True
        asked_at = asyncio.get_running_loop().time()
        async with self._trying:
            if (
                self._failed_at > asked_at
            ):  # somebody found meanwhile that Redis is away: each of many senders needn't find it out, one after the other
                return False
            try:
                await self.drain()
            except NotSent as exc:
                self._failed_at = asyncio.get_running_loop().time()
                logger.warning("the spool %s can't be drained now: %s", self.spool.folder, exc)
        return not await asyncio.to_thread(self.spool.files)

    # ---------------------------------------------------------------------------------------------------------------------------- tries

    async def _place(self, mail: SpooledMessage, max_retries: int) -> Placed:
        """On its stream.

        Raises:
            NotSent: Redis is away.
            SendRefused: it is a dead letter now, or can't even be that.
        """
        try:
            return await self._try(mail, max_retries)
        except redis.ResponseError as exc:
            raise await self._refuse(mail, mail.fields, GivenUp.REFUSED, exc) from exc

    async def _try(self, mail: SpooledMessage, max_retries: int) -> Placed:
        step = send_once(
            self.settings.keys, mail.stream, mail.fields, idempotency_key=mail.idempotency_key, life=self.settings.idempotency_life, cap=mail.cap
        )
        stop = stop_after_attempt(max_retries + 1)
        try:
            async for attempt in AsyncRetrying(
                stop=stop, wait=WAIT, retry=retry_if_exception(is_passing), before_sleep=_log, reraise=True, sleep=asyncio.sleep
            ):
                with attempt:
                    try:
                        return await call_async(self.client, step)
                    except FunctionLibraryMissing:
                        await load_library_async(self.client)
                        return await call_async(self.client, step)
        except (redis.RedisError, OSError, EOFError) as exc:
            if not is_passing(exc):
                raise
            raise NotSent(
                f"a message for {mail.stream} may not be there, after {max_retries + 1} tries: {type(exc).__name__}: {exc}", mail.idempotency_key
            ) from exc
        raise AssertionError("unreachable")

    async def _refuse(self, mail: SpooledMessage, fields: dict[str, str], reason: GivenUp, error: Exception) -> SendRefused:
        """The error for the caller, with where the dead letter is."""
        what = f"{mail.stream} takes no such message: {error}"
        try:
            letter = await self.move_to_dead_letter(mail.stream, fields, reason=reason, error=error, idempotency_key=mail.idempotency_key)
        except (redis.RedisError, NotSent) as exc:
            return SendRefused(f"{what}; and it can't be moved to {dead_letters_of(mail.stream)}: {exc}")
        return SendRefused(f"{what}; it is entry {letter} of {dead_letters_of(mail.stream)}", dead_letter_id=letter)

    async def _put_aside(self, mail: SpooledMessage, why: NotSent) -> Sent:
        """Into the spool, or back to the caller."""
        if self.spool is None:
            raise why
        try:
            file = await asyncio.to_thread(self.spool.put, mail)
        except OSError as exc:
            raise NotSent(f"{why}; nor can it be kept in the spool: {exc}", mail.idempotency_key) from why
        logger.warning("Redis is away: a message for %s is in the spool: %s", mail.stream, file)
        return Sent(None, mail.idempotency_key, spooled=file)


def _log(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.warning("Redis: sending: %s; trying again (try %d)", error, state.attempt_number)
