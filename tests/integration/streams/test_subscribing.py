"""Listening: each message once where nothing goes wrong, again where something does, and a dead letter in the end; nothing is ever lost."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
import redis

from streams.bus.backoff import Backoff
from streams.bus.event_bus import RedisStreamsEventBus
from streams.bus.events import Event
from streams.bus.messages import EventMessage
from streams.bus.received import Received
from streams.bus.topology import RedisStreamsConfig, dead_letters_of
from streams.embedded import EmbeddedServer, Server
from tests.integration.streams.conftest import MakeBus
from tests.waiting import async_wait_until, wait_until

STREAM = RedisStreamsConfig.SYSTEM_EVENTS
OTHER = RedisStreamsConfig.TRADING_MGMT_STATUS
GROUP = "auditors"
SOON = Backoff(base=timedelta(milliseconds=20))
LATER = Backoff(base=timedelta(minutes=5))


def event(n: int) -> Event:
    return Event(type="counted", data=n)


class Seen:
    """A handler that remembers, and does what it is told for a message."""

    def __init__(self, *, fails: int = 0, seconds: float = 0.0) -> None:
        self.fails, self.seconds = fails, seconds
        self.deliveries: list[tuple[Any, int]] = []
        self.finished: list[Any] = []
        self.running = self.most = 0

    async def __call__(self, message: Event, received: Received[Event]) -> None:
        self.deliveries.append((message.data, received.delivery))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
            if received.delivery <= self.fails:
                raise RuntimeError(f"delivery {received.delivery} of {message.data} failed")
            self.finished.append(message.data)
        finally:
            self.running -= 1


class Streams:
    """What is on the server."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client, self.prefix = client, prefix

    def pending(self, stream: str = STREAM, group: str = GROUP) -> list[tuple[str, int]]:
        """Holder and deliveries of each."""
        rows = self.client.xpending_range(f"{self.prefix}{stream}", group, "-", "+", 100)
        return [(str(row["consumer"]), int(row["times_delivered"])) for row in rows]

    def is_done(self, stream: str = STREAM, group: str = GROUP) -> bool:
        [info] = [info for info in self.client.xinfo_groups(f"{self.prefix}{stream}") if info["name"] == group]
        return bool(info["lag"] == 0 and info["pending"] == 0)

    def dead_letters(self, stream: str = STREAM) -> list[dict[str, str]]:
        rows: Any = self.client.xrange(f"{self.prefix}{dead_letters_of(stream)}")
        return [fields for _, fields in rows]


@pytest.fixture
def streams(redis_client: redis.Redis, prefix: str) -> Streams:
    return Streams(redis_client, prefix)


async def test_each_message_is_handled_and_acknowledged(bus: RedisStreamsEventBus, streams: Streams) -> None:
    await bus.publish(STREAM, event(1))  # before anybody listens
    seen = Seen()
    await bus.subscribe(STREAM, GROUP, seen, message_type=Event)
    await bus.publish(STREAM, event(2))
    await async_wait_until(lambda: seen.finished == [1, 2])
    await async_wait_until(streams.is_done)


async def test_the_entry_comes_with_the_message(bus: RedisStreamsEventBus) -> None:
    got: list[tuple[EventMessage, Received]] = []

    async def handler(message: EventMessage, received: Received) -> None:
        got.append((message, received))

    await bus.subscribe(STREAM, GROUP, handler)
    entry = await bus.publish(STREAM, event(7))
    await async_wait_until(lambda: got)
    [(message, received)] = got
    assert (message, received.id, received.stream, received.delivery, received.fields["data"]) == (EventMessage(), entry, STREAM, 1, "7")


async def test_nothing_is_acknowledged_before_its_handler_is_done(bus: RedisStreamsEventBus, streams: Streams) -> None:
    seen = Seen(seconds=0.5)
    await bus.subscribe(STREAM, GROUP, seen, message_type=Event)
    await bus.publish(STREAM, event(1))
    await async_wait_until(lambda: seen.running == 1)
    assert len(streams.pending()) == 1
    await async_wait_until(streams.is_done)
    assert seen.finished == [1]


async def test_several_streams_and_several_groups(bus: RedisStreamsEventBus, streams: Streams) -> None:
    both, one = Seen(), Seen()
    await bus.subscribe([STREAM, OTHER], GROUP, both, message_type=Event)
    await bus.subscribe(STREAM, "others", one, message_type=Event)
    for n in range(10):
        await bus.publish(STREAM if n % 2 else OTHER, event(n))
    await async_wait_until(lambda: sorted(both.finished) == list(range(10)) and sorted(one.finished) == [1, 3, 5, 7, 9])
    await async_wait_until(lambda: streams.is_done() and streams.is_done(OTHER) and streams.is_done(group="others"))


async def test_two_consumers_of_a_group_share_its_messages(make_bus: MakeBus, streams: Streams) -> None:
    async with make_bus() as one, make_bus() as other:
        a, b = Seen(seconds=0.02), Seen(seconds=0.02)
        for bus, seen in ((one, a), (other, b)):
            await bus.subscribe(STREAM, GROUP, seen, message_type=Event)
        for n in range(20):
            await one.publish(STREAM, event(n))
        await async_wait_until(lambda: sorted(a.finished + b.finished) == list(range(20)))
        assert a.finished
        assert b.finished


async def test_no_more_handlers_run_at_a_time_than_allowed(bus: RedisStreamsEventBus, streams: Streams) -> None:
    seen = Seen(seconds=0.05)
    await bus.subscribe([STREAM, OTHER, "a:events", "b:events"], GROUP, seen, message_type=Event, concurrency=3)
    for n in range(30):
        await bus.publish((STREAM, OTHER, "a:events", "b:events")[n % 4], event(n))
    await async_wait_until(lambda: sorted(seen.finished) == list(range(30)))
    assert seen.most == 3
    assert {count for _, count in seen.deliveries} == {1}


async def test_a_handler_that_fails_is_called_again_as_the_next_delivery(bus: RedisStreamsEventBus, streams: Streams) -> None:
    seen = Seen(fails=2)
    await bus.subscribe(STREAM, GROUP, seen, message_type=Event, backoff=SOON)
    await bus.publish(STREAM, event(1))
    await async_wait_until(streams.is_done)
    assert seen.deliveries == [(1, 1), (1, 2), (1, 3)]
    assert streams.dead_letters() == []


async def test_the_server_counts_each_delivery(bus: RedisStreamsEventBus, streams: Streams) -> None:
    """So that one consumer's failures count at the next, too."""
    seen = Seen(fails=1, seconds=0.5)
    await bus.subscribe(STREAM, GROUP, seen, message_type=Event, backoff=SOON)
    await bus.publish(STREAM, event(1))
    await async_wait_until(lambda: seen.deliveries == [(1, 1), (1, 2)] and seen.running == 1)
    assert [count for _, count in streams.pending()] == [2]


async def test_a_next_delivery_waits_for_its_turn(bus: RedisStreamsEventBus, streams: Streams) -> None:
    seen = Seen(fails=1, seconds=0.1)
    await bus.subscribe(STREAM, GROUP, seen, message_type=Event, backoff=SOON)
    for n in range(5):
        await bus.publish(STREAM, event(n))
    await async_wait_until(lambda: sorted(seen.finished) == list(range(5)))
    assert seen.most == 1


async def test_after_its_last_delivery_a_message_is_a_dead_letter(bus: RedisStreamsEventBus, streams: Streams, prefix: str) -> None:
    seen = Seen(fails=9)
    await bus.subscribe(STREAM, GROUP, seen, message_type=Event, backoff=SOON)
    entry = await bus.publish(STREAM, event(1))
    await async_wait_until(streams.dead_letters)
    [letter] = streams.dead_letters()
    error = json.loads(letter["error"])
    assert (letter["reason"], letter["deliveries"], letter["source_id"], letter["source_stream"]) == ("exhausted", "3", entry, f"{prefix}{STREAM}")
    assert (error["type"], error["message"]) == ("RuntimeError", "delivery 3 of 1 failed")
    assert 'raise RuntimeError(f"delivery' in error["traceback"]
    assert letter["first_failed_at"] < letter["last_failed_at"]
    assert Event.from_redis_dict(letter).data == 1
    assert streams.is_done()


async def test_one_that_waits_for_its_next_delivery_holds_up_no_other(bus: RedisStreamsEventBus, streams: Streams) -> None:
    async def fails_for_0(message: Event, received: Received[Event]) -> None:
        if message.data == 0:
            raise RuntimeError
        finished.append(message.data)

    finished: list[int] = []
    await bus.subscribe(STREAM, GROUP, fails_for_0, message_type=Event, backoff=LATER)
    for n in range(5):
        await bus.publish(STREAM, event(n))
    await async_wait_until(lambda: finished == [1, 2, 3, 4])


async def test_one_that_waits_for_its_next_delivery_stays_this_consumers(make_bus: MakeBus, streams: Streams) -> None:
    """Beyond a lease, and another consumer looks for what nobody renews."""
    async with make_bus(lease_seconds=1.0) as one, make_bus(lease_seconds=1.0) as other:
        a, b = Seen(fails=1), Seen()
        await one.subscribe(STREAM, GROUP, a, message_type=Event, backoff=Backoff(base=timedelta(seconds=6)))
        await one.publish(STREAM, event(1))
        await async_wait_until(lambda: a.deliveries == [(1, 1)])
        await other.subscribe(STREAM, GROUP, b, message_type=Event)
        await async_wait_until(streams.is_done)
        assert (a.deliveries, b.deliveries) == ([(1, 1), (1, 2)], [])


async def test_what_cant_be_decoded_is_a_dead_letter_at_once(bus: RedisStreamsEventBus, streams: Streams, prefix: str) -> None:
    streams.client.xadd(f"{prefix}{STREAM}", {"what": "ever"})
    seen = Seen()
    await bus.subscribe(STREAM, GROUP, seen, message_type=Event)
    await async_wait_until(streams.dead_letters)
    [letter] = streams.dead_letters()
    assert (letter["reason"], letter["what"]) == ("undecodable", "ever")
    assert "type: Field required" in json.loads(letter["error"])["message"]
    assert not seen.deliveries


async def test_what_is_of_a_newer_schema_is_left_pending(bus: RedisStreamsEventBus, streams: Streams, prefix: str) -> None:
    streams.client.xadd(f"{prefix}{STREAM}", event(1).to_redis_dict() | {"schema": "2"})  # type: ignore[arg-type]
    seen = Seen()
    await bus.subscribe(STREAM, GROUP, seen, message_type=Event)
    await bus.publish(STREAM, event(2))
    await async_wait_until(lambda: seen.finished == [2])
    await async_wait_until(lambda: streams.pending() == [("newer_schema", 0)])
    assert streams.dead_letters() == []


async def test_a_lease_is_renewed_while_a_handler_runs(make_bus: MakeBus, streams: Streams) -> None:
    async with make_bus(lease_seconds=1.0) as one, make_bus(lease_seconds=1.0) as other:
        a, b = Seen(seconds=4), Seen()
        await one.subscribe(STREAM, GROUP, a, message_type=Event)
        await one.publish(STREAM, event(1))
        await async_wait_until(lambda: a.running == 1)
        await other.subscribe(STREAM, GROUP, b, message_type=Event)
        await async_wait_until(lambda: a.finished == [1])
        await async_wait_until(streams.is_done)
        assert b.deliveries == []


async def test_who_has_lost_its_lease_is_told_by_the_end_of_its_handler(bus: RedisStreamsEventBus, streams: Streams, prefix: str) -> None:
    seen = Seen(seconds=60)
    await bus.subscribe(STREAM, GROUP, seen, message_type=Event)
    entry = await bus.publish(STREAM, event(1))
    await async_wait_until(lambda: seen.running == 1)
    streams.client.xclaim(f"{prefix}{STREAM}", GROUP, "another", 0, [entry])
    await async_wait_until(lambda: seen.running == 0)
    assert seen.finished == []
    assert streams.pending() == [("another", 2)]


async def test_a_handler_that_cancels_itself_has_failed(bus: RedisStreamsEventBus, streams: Streams) -> None:
    async def handler(message: Event, received: Received[Event]) -> None:
        raise asyncio.CancelledError

    await bus.subscribe(STREAM, GROUP, handler, message_type=Event, backoff=SOON)
    await bus.publish(STREAM, event(1))
    await async_wait_until(streams.dead_letters)
    assert json.loads(streams.dead_letters()[0]["error"])["type"] == "CancelledError"


async def test_a_stop_lets_what_runs_finish(make_bus: MakeBus, streams: Streams) -> None:
    bus, seen = make_bus(), Seen(seconds=0.7)
    async with bus:
        await bus.subscribe(STREAM, GROUP, seen, message_type=Event)
        await bus.publish(STREAM, event(1))
        await async_wait_until(lambda: seen.running == 1)
    assert seen.finished == [1]
    assert streams.is_done()


async def test_a_stop_hands_back_what_doesnt_finish_and_others_get_it_at_once(make_bus: MakeBus, streams: Streams) -> None:
    async with make_bus(lease_seconds=300.0) as one, make_bus(lease_seconds=300.0) as other:
        slow, failing, rest = Seen(seconds=60), Seen(fails=9), Seen()
        subscription = await one.subscribe(STREAM, GROUP, slow, message_type=Event)
        waiting = await one.subscribe(OTHER, GROUP, failing, message_type=Event, backoff=LATER)
        await one.publish(STREAM, event(1))
        await one.publish(OTHER, event(2))
        await async_wait_until(lambda: slow.running == 1 and failing.deliveries == [(2, 1)] and not failing.running)
        await asyncio.gather(subscription.stop(timedelta(seconds=0.2)), waiting.stop(timedelta(seconds=30)))
        assert streams.pending() == [("handed_back", 0)]  # it wasn't finished, and doesn't count
        assert streams.pending(OTHER) == [("handed_back", 1)]  # it failed, and counts
        await other.subscribe([STREAM, OTHER], GROUP, rest, message_type=Event)
        await async_wait_until(lambda: sorted(rest.deliveries) == [(1, 1), (2, 2)])


async def test_a_flushed_server_gets_its_group_again(bus: RedisStreamsEventBus, streams: Streams, prefix: str) -> None:
    seen = Seen()
    await bus.subscribe(STREAM, GROUP, seen, message_type=Event)
    streams.client.delete(f"{prefix}{STREAM}")
    await bus.publish(STREAM, event(1))
    await async_wait_until(lambda: seen.finished == [1])


@pytest.mark.parametrize("how", ["stopped", "killed"])
async def test_listening_outlasts_a_restart_of_the_server(make_bus: MakeBus, how: str) -> None:
    with EmbeddedServer() as server:
        async with make_bus(redis_url=server.url) as bus:
            seen = Seen(seconds=0.3)
            await bus.subscribe(STREAM, GROUP, seen, message_type=Event, concurrency=5)
            await bus.client.config_set("appendfsync", "always")
            for n in range(10):
                await bus.publish(STREAM, event(n))
            await async_wait_until(lambda: seen.running > 0)
            await asyncio.to_thread(server.restart if how == "stopped" else server.kill)
            if how == "killed":
                await asyncio.to_thread(server.start)
            await bus.send_with_retry(STREAM, event(10), max_retries=10)
            await async_wait_until(lambda: set(seen.finished) == set(range(11)))
            with redis.Redis.from_url(server.url, decode_responses=True, legacy_responses=False) as client:
                await async_wait_until(Streams(client, bus.keys.prefix).is_done)
                assert Streams(client, bus.keys.prefix).dead_letters() == []


async def test_a_server_that_is_away_when_somebody_subscribes_is_waited_for(make_bus: MakeBus) -> None:
    with EmbeddedServer() as server:
        await asyncio.to_thread(server.kill)
        async with make_bus(redis_url=server.url) as bus:
            seen = Seen()
            await bus.subscribe(STREAM, GROUP, seen, message_type=Event)
            await asyncio.to_thread(server.start)
            await bus.send_with_retry(STREAM, event(1), max_retries=10)
            await async_wait_until(lambda: seen.finished == [1])


async def test_a_stream_that_is_none_is_told_at_once(bus: RedisStreamsEventBus, streams: Streams, prefix: str) -> None:
    streams.client.set(f"{prefix}{STREAM}", "a string", ex=600)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        await bus.subscribe(STREAM, GROUP, Seen(), message_type=Event)


async def test_dead_letters_that_cant_be_written_leave_the_message_where_it_is(
    bus: RedisStreamsEventBus, streams: Streams, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    streams.client.set(f"{prefix}{dead_letters_of(STREAM)}", "a string", ex=600)
    await bus.subscribe(STREAM, GROUP, Seen(fails=9), message_type=Event, backoff=SOON)
    with caplog.at_level(logging.ERROR):
        await bus.publish(STREAM, event(1))
        await async_wait_until(lambda: "can't be dealt with now" in caplog.text)
    assert len(streams.pending()) == 1


# ------------------------------------------------------------------------------------------------------------------ with real processes


class Listener:
    """A process that listens: `tests.bus_process`."""

    def __init__(self, server: Server, prefix: str, handler: str, **environment: str) -> None:
        env = {**os.environ, "REDIS_URL": server.url, "STREAMS_PREFIX": prefix, "STREAMS_LEASE_SECONDS": "1", **environment}
        self.process = subprocess.Popen([sys.executable, "-m", "tests.bus_process", "listen", STREAM, GROUP, handler], env=env)

    def __enter__(self) -> subprocess.Popen[bytes]:
        return self.process

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


@pytest.mark.chaos
async def test_what_a_killed_listener_had_is_taken_by_others_after_a_lease(
    bus: RedisStreamsEventBus, streams: Streams, server: Server, prefix: str, redis_client: redis.Redis
) -> None:
    await bus.publish(STREAM, event(1))
    with Listener(server, prefix, "hang") as killed:
        wait_until(lambda: redis_client.lrange(f"{prefix}begun", 0, -1))
        seen = Seen()
        await bus.subscribe(STREAM, GROUP, seen, message_type=Event)
        killed.send_signal(signal.SIGKILL)
        await async_wait_until(lambda: seen.deliveries == [(1, 2)])
        await async_wait_until(streams.is_done)


@pytest.mark.chaos
def test_a_message_that_kills_its_listeners_is_poison(streams: Streams, server: Server, prefix: str, redis_client: redis.Redis) -> None:
    redis_client.xadd(f"{prefix}{STREAM}", event(1).to_redis_dict())  # type: ignore[arg-type]
    for _ in range(3):
        with Listener(server, prefix, "die") as listener:
            assert listener.wait(60) == -signal.SIGKILL
    with Listener(server, prefix, "die"):
        wait_until(streams.dead_letters)
    [letter] = streams.dead_letters()
    assert (letter["reason"], letter["deliveries"]) == ("poison", "3")
    assert streams.is_done()
    assert redis_client.llen(f"{prefix}begun") == 3


@pytest.mark.chaos
async def test_many_messages_outlive_listeners_that_are_killed(
    make_bus: MakeBus, streams: Streams, server: Server, prefix: str, redis_client: redis.Redis
) -> None:
    async with make_bus() as bus:
        for n in range(300):
            await bus.publish(STREAM, event(n))
    for _ in range(3):
        with Listener(server, prefix, "count", STREAMS_MAX_DELIVERIES="50") as killed:
            before = redis_client.scard(f"{prefix}counted")
            wait_until(lambda before=before: redis_client.scard(f"{prefix}counted") >= before + 20)  # type: ignore[misc]
            killed.send_signal(signal.SIGKILL)
    with Listener(server, prefix, "count", STREAMS_MAX_DELIVERIES="50"):
        wait_until(lambda: redis_client.scard(f"{prefix}counted") == 300, timeout=60)
        wait_until(streams.is_done)
    assert streams.dead_letters() == []
