"""The event bus: messages of any kind on Redis Streams, for asyncio programs.

    async with RedisStreamsEventBus() as bus:
        await bus.publish(RedisStreamsConfig.SYSTEM_EVENTS, Event(type="strategy.deployed", data={"name": "EmaCross"}))
        await bus.subscribe(RedisStreamsConfig.SYSTEM_EVENTS, "auditors", write_down, message_type=Event)

A stream is a logical name; the deployment's prefix is added here. Nothing is retried behind the caller's back but where the method says so.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import redis
import redis.asyncio

from streams.bus.backoff import Backoff
from streams.bus.clients import CONNECTION_ERRORS, connect_async, is_passing
from streams.bus.entry_ids import just_before
from streams.bus.messages import EventMessage
from streams.bus.received import M, Received
from streams.bus.replay import BEGINNING, replay
from streams.bus.sender import Drained, Sender, Sent
from streams.bus.sending import check_cap, check_size
from streams.bus.services import declare
from streams.bus.settings import EventBusSettings
from streams.bus.subscription import GRACE, Handler, Subscription, Terms
from streams.errors import NotSent

logger = logging.getLogger(__name__)


class RedisStreamsEventBus:
    """Publishes, reads and listens; one for a program is enough.

    Args:
        settings: read from the environment by default.
        client: one of `streams.bus.clients.connect_async`, that the caller closes; by default one of its own.
        name: what its consumers are called, before the process id; the host's name by default.
    """

    def __init__(self, settings: EventBusSettings | None = None, *, client: redis.asyncio.Redis | None = None, name: str | None = None) -> None:
        self.settings = settings or EventBusSettings.load()
        declare(self.settings.services)
        self.keys, self.name = self.settings.keys, name or socket.gethostname()
        self._own_client = client is None
        self.client = client or connect_async(self.settings.redis_url, name=f"event-bus:{self.name}".replace(" ", "_"))
        _check(self.client)
        self._sender = Sender(self.client, self.settings, worker=f"{self.name}:{os.getpid()}")
        self._subscriptions: list[Subscription[Any]] = []

    async def __aenter__(self) -> Self:
        """What an earlier process left in the spool is sent, if Redis answers."""
        await self._sender.drain_if_possible()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def stop(self, grace: timedelta = GRACE) -> None:
        """Stop every listener, see `Subscription.stop`; then close the connections."""
        await asyncio.gather(*(each.stop(grace) for each in self._subscriptions))
        self._subscriptions.clear()
        if self._own_client:
            await self.client.aclose()

    # -------------------------------------------------------------------------------------------------------------------------- sending

    async def publish(self, stream: str, message: EventMessage, *, cap: int | None = None) -> str:
        """Add a message to a stream, once, and return the id of its entry.

        Args:
            stream: logical name.
            message: what is sent.
            cap: about how many entries the stream keeps, for statuses and events only: older ones are dropped, read or not.

        Raises:
            NotSent: Redis is away; the message may be there or not. `send_with_retry` makes sure.
            PayloadTooLarge, EncodeError: it can't be sent at all.
            redis.ResponseError: the server refuses it.
            ValueError: the stream may not be capped.
        """
        check_cap(stream, cap)
        fields: dict[Any, Any] = message.to_redis_dict()
        check_size(stream, fields, self.settings.max_message_bytes)
        try:
            return str(await self.client.xadd(self.keys.stream(stream), fields, maxlen=cap, approximate=True))
        except CONNECTION_ERRORS as exc:
            raise NotSent(f"a message ({type(message).__name__}) for {stream} may not be there: {type(exc).__name__}: {exc}") from exc

    async def send_with_retry(
        self, stream: str, message: EventMessage, max_retries: int = 3, *, idempotency_key: str | None = None, cap: int | None = None
    ) -> Sent:
        """Add a message to a stream exactly once, whatever is retried, and say where it is.

        A failed try is repeated after an exponential backoff with jitter. What the server refuses for good goes to the dead letters. When Redis stays away the
        message goes into the spool (`STREAMS_SPOOL_DIR`), and is sent with the next message or on the next start; without a spool the caller gets it back.

        Args:
            stream: logical name.
            message: what is sent.
            max_retries: tries after the first.
            idempotency_key: what makes it one message, such as an order's number, remembered for STREAMS_IDEMPOTENCY_DAYS; by default a new one for each call.
            cap: see `publish`.

        Raises:
            NotSent: Redis is away, and there is no spool. The caller keeps the message: sent again with the error's `idempotency_key` it is there once.
            SendRefused: the server won't take it, or it is too large; names the dead letter.
            EncodeError: it can't be sent at all.
            ValueError: the stream may not be capped.
        """
        return await self._sender.send(stream, message, max_retries, idempotency_key=idempotency_key or uuid4().hex, cap=cap)

    async def move_to_dead_letter(
        self, stream: str, message: EventMessage, *, reason: str, error: BaseException | str = "", idempotency_key: str | None = None
    ) -> str:
        """Put a message that can't be on its stream among that stream's dead letters, with the reason; returns the id of the entry there.

        Raises:
            NotSent: Redis is away.
            redis.ResponseError: the server refuses that too.
        """
        key = idempotency_key or uuid4().hex
        return await self._sender.move_to_dead_letter(stream, message.to_redis_dict(), reason=reason, error=error, idempotency_key=key)

    async def drain_spool(self) -> Drained:
        """Send what the spool holds, in the order it was put there.

        Raises:
            NotSent: Redis is away; the rest stays in the spool.
        """
        return await self._sender.drain()

    # -------------------------------------------------------------------------------------------------------------------------- reading

    def read(
        self,
        stream: str,
        *,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        count: int | None = None,
        follow: bool = False,
        message_type: type[M] = EventMessage,  # type: ignore[assignment]  # what M is by default
    ) -> AsyncIterator[Received[M]]:
        """Read a stream without a group: nobody else misses what is read here.

        Args:
            stream: logical name.
            since: the id of the last entry that is known already, or a time; `$` for what comes from now on. None: from the beginning.
            until: the id of the last entry wanted, or a time.
            count: entries at most.
            follow: wait for new entries instead of ending, also through a restart of the server.
            message_type: what `Received.message` decodes.

        Raises:
            ServerUnavailable: Redis is away, and `follow` isn't asked for.
        """
        return replay(self.client, self.keys.stream(stream), stream, message_type, since=since, until=until, count=count, follow=follow)

    async def create_group(self, stream: str, group: str, *, since: str | datetime | None = None) -> bool:
        """Make a group, and the stream if there is none; returns False when the group exists, which stays as it is.

        Args:
            stream: logical name.
            group: its name.
            since: where it begins to read: after this id, at this time, `$` at the end. None: at the beginning.
        """
        start = just_before(since) if isinstance(since, datetime) else since or BEGINNING
        try:
            await self.client.xgroup_create(self.keys.stream(stream), group, id=start, mkstream=True)
        except redis.ResponseError as exc:
            if not str(exc).startswith("BUSYGROUP"):
                raise
            return False
        return True

    async def subscribe(
        self,
        streams: str | Sequence[str],
        group: str,
        handler: Handler[M],
        *,
        message_type: type[M] = EventMessage,  # type: ignore[assignment]  # what M is by default
        concurrency: int = 1,
        max_deliveries: int | None = None,
        backoff: Backoff | None = None,
    ) -> Subscription[M]:
        """Listen in the background, until `stop`: each message is given to one consumer of the group, and acknowledged after its handler.

        Args:
            streams: logical names; they take turns.
            group: made at the beginning of each stream when it is missing.
            handler: called with the message and its entry. It may be called again with the same message, and must not mind.
            message_type: what entries are decoded as; those that aren't become dead letters.
            concurrency: handlers at a time.
            max_deliveries: after so many that failed, or took their consumer down, a message is a dead letter; STREAMS_MAX_DELIVERIES by default.
            backoff: the wait between two deliveries of a message whose handler failed.

        Raises:
            redis.ResponseError: the server won't let this group be made. A server that is away is waited for, in the background.
        """
        names = (streams,) if isinstance(streams, str) else tuple(streams)
        for name in names:
            try:
                await self.create_group(name, group)
            except (redis.RedisError, OSError) as exc:
                if not is_passing(exc):
                    raise
                logger.warning("%s: group %s isn't made yet: %s", name, group, exc)
        terms = Terms(
            streams=names,
            group=group,
            handler=handler,
            message_type=message_type,
            consumer=f"{self.name}:{os.getpid()}:{uuid4().hex[:6]}",
            lease=self.settings.lease,
            concurrency=concurrency,
            max_deliveries=max_deliveries or self.settings.max_deliveries,
            backoff=backoff or Backoff(),
        )
        subscription = Subscription(self.client, self.keys, terms)
        self._subscriptions.append(subscription)
        return subscription


def _check(client: redis.asyncio.Redis) -> None:
    options = client.get_connection_kwargs()  # type: ignore[no-untyped-call]
    retry = options.get("retry")
    if not options.get("decode_responses") or retry is None or retry.get_retries() != 0:
        raise ValueError("the client must be made by streams.bus.clients.connect_async: others retry what isn't safe to send twice")
