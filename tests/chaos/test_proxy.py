"""The network of the chaos tests does what it says."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
import redis

from streams.bus.clients import connect
from streams.embedded import EmbeddedServer
from tests.chaos.proxy import Link, Proxies


@pytest.fixture(scope="module")
def real() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def link(real: EmbeddedServer) -> Iterator[Link]:
    with Proxies() as proxies:
        yield proxies.open(real.socket)


@pytest.fixture
def part(link: Link, real: EmbeddedServer) -> Iterator[redis.Redis]:
    with connect(real.url) as direct:
        direct.flushall()
    with connect(link.redis_url) as client:
        client.connection_pool.connection_kwargs["socket_timeout"] = 0.5
        yield client


def test_what_is_sent_comes_through(part: redis.Redis) -> None:
    value = "x" * 1_000_000
    part.set("key", value)
    assert part.get("key") == value


def test_a_cut_closes_every_connection_until_it_is_restored(part: redis.Redis, link: Link) -> None:
    part.ping()
    link.cut()
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            part.ping()
    link.restore()
    assert part.ping()


def test_a_dropped_connection_can_be_made_again_at_once(part: redis.Redis, link: Link) -> None:
    before = part.client_id()
    link.drop()
    after = before
    while after == before:  # redis-py notices a closed connection before it uses it, or while it does
        with contextlib.suppress(redis.ConnectionError):
            after = part.client_id()


def test_a_reply_that_is_lost_was_of_a_request_that_was_done(part: redis.Redis, link: Link) -> None:
    part.ping()
    link.lose_replies(1, of_requests_with=b"XADD")
    assert part.ping()
    with pytest.raises(redis.ConnectionError):
        part.xadd("stream", {"number": "1"})
    assert part.xlen("stream") == 1
    part.xadd("stream", {"number": "2"})
    assert link.lost_replies == 1


def test_a_black_hole_answers_nothing_and_lets_all_go_on_in_the_end(part: redis.Redis, link: Link, real: EmbeddedServer) -> None:
    part.ping()
    link.black_hole()
    with pytest.raises(redis.TimeoutError):
        part.set("key", "held back")
    with connect(real.url) as direct:
        assert direct.get("key") is None
        link.restore()
        while direct.get("key") != "held back":
            time.sleep(0.01)
    assert part.ping()


def test_a_delay_is_as_long_as_it_is_said_to_be(part: redis.Redis, link: Link) -> None:
    part.ping()
    link.delay(0.1)
    started = time.monotonic()
    part.ping()
    assert time.monotonic() - started >= 0.2  # there and back


def test_a_server_that_is_away_is_a_closed_connection() -> None:
    with Proxies() as proxies, connect(proxies.open(("127.0.0.1", 1)).redis_url) as client, pytest.raises(redis.ConnectionError):
        client.ping()
