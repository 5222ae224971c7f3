"""The spool: what can't be sent now is on the disk, and is sent later, in order, once, whenever a process is killed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from streams.bus.events import Event
from streams.bus.sender import Drained
from streams.bus.spool import Spool, SpooledMessage
from streams.bus.topology import RedisStreamsConfig
from streams.errors import NotSent
from tests.integration.streams.conftest import MakeBus
from tests.lossy_proxy import LossyProxy

STREAM = RedisStreamsConfig.MGMT_TRADING_COMMANDS
DEAD = RedisStreamsConfig.TRADING_MGMT_DEAD_LETTERS
AWAY = "redis://127.0.0.1:1/0"


def event(n: int) -> Event:
    return Event(type="order", data=n)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def proxy(redis_url: str) -> Iterator[LossyProxy]:
    with LossyProxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
def sent(redis_client: redis.Redis, prefix: str) -> Any:
    def read(stream: str = STREAM) -> list[Any]:
        rows: Any = redis_client.xrange(f"{prefix}{stream}")
        return [Event.from_redis_dict(fields).data for _, fields in rows]

    return read


def whole(folder: Path) -> list[Path]:
    return Spool(folder, life=timedelta(days=1)).files()


def number(folder: Path, pattern: str) -> int:
    return len(list(folder.glob(pattern)))


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


async def spool_some(make_bus: MakeBus, folder: Path, *numbers: int) -> None:
    async with make_bus(redis_url=AWAY, spool_dir=folder) as bus:
        for n in numbers:
            placed = await bus.send_with_retry(STREAM, event(n), max_retries=0)
            assert placed.id is None
            assert placed.spooled is not None
            assert placed.spooled.exists()


async def test_what_cant_be_sent_is_sent_on_the_next_start_in_order(make_bus: MakeBus, folder: Path, sent: Any) -> None:
    await spool_some(make_bus, folder, 1, 2, 3)
    assert (len(whole(folder)), mode(folder)) == (3, 0o700)
    async with make_bus(spool_dir=folder):
        assert sent() == [1, 2, 3]
    assert whole(folder) == []


async def test_what_comes_later_waits_behind_it(make_bus: MakeBus, folder: Path, proxy: LossyProxy, sent: Any) -> None:
    async with make_bus(redis_url=proxy.url, spool_dir=folder) as bus:
        proxy.cut = True
        for n in (1, 2):
            await bus.send_with_retry(STREAM, event(n), max_retries=0)
        proxy.cut = False
        assert (await bus.send_with_retry(STREAM, event(3))).id
    assert sent() == [1, 2, 3]


async def test_many_senders_at_once_find_out_once_that_redis_is_away(make_bus: MakeBus, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One after the other the last of many waited for the tries of all before it."""
    await spool_some(make_bus, folder, 0)
    async with make_bus(redis_url=AWAY, spool_dir=folder) as bus:
        caplog.clear()
        placed = await asyncio.gather(*(bus.send_with_retry(STREAM, event(n)) for n in range(1, 11)))
    assert all(each.spooled for each in placed)
    assert len(whole(folder)) == 11
    assert caplog.text.count("can't be drained now") == 1


async def test_what_was_sent_although_its_answer_was_lost_is_not_sent_again(make_bus: MakeBus, folder: Path, proxy: LossyProxy, sent: Any) -> None:
    async with make_bus(redis_url=proxy.url, spool_dir=folder) as bus:
        proxy.lose("send_once")
        assert (await bus.send_with_retry(STREAM, event(1), max_retries=0)).spooled
        assert sent() == [1]
        assert await bus.drain_spool() == Drained(known=1)
    assert sent() == [1]


async def test_a_server_that_is_still_away_leaves_all_in_the_spool(make_bus: MakeBus, folder: Path) -> None:
    await spool_some(make_bus, folder, 1, 2)
    async with make_bus(redis_url=AWAY, spool_dir=folder) as bus:
        with pytest.raises(NotSent):
            await bus.drain_spool()
    assert len(whole(folder)) == 2


async def test_without_a_spool_there_is_nothing_to_drain(make_bus: MakeBus) -> None:
    async with make_bus() as bus:
        assert await bus.drain_spool() == Drained()


async def test_what_is_refused_becomes_a_dead_letter_and_holds_up_none(
    make_bus: MakeBus, folder: Path, redis_client: redis.Redis, prefix: str, sent: Any
) -> None:
    await spool_some(make_bus, folder, 1)
    async with make_bus(redis_url=AWAY, spool_dir=folder) as bus:
        await bus.send_with_retry(RedisStreamsConfig.SYSTEM_EVENTS, event(2), max_retries=0)
    redis_client.set(f"{prefix}{STREAM}", "a string", ex=600)
    async with make_bus(spool_dir=folder):
        pass
    assert (sent(DEAD), sent(RedisStreamsConfig.SYSTEM_EVENTS), whole(folder)) == ([1], [2], [])


async def test_what_even_the_dead_letters_refuse_is_set_aside(
    make_bus: MakeBus, folder: Path, redis_client: redis.Redis, prefix: str, sent: Any
) -> None:
    await spool_some(make_bus, folder, 1)
    for stream in (STREAM, DEAD):
        redis_client.set(f"{prefix}{stream}", "a string", ex=600)
    async with make_bus(spool_dir=folder):
        pass
    assert (number(folder, "*.refused"), whole(folder)) == (1, [])


async def test_one_whose_key_may_be_forgotten_is_left_to_people(make_bus: MakeBus, folder: Path, sent: Any, caplog: pytest.LogCaptureFixture) -> None:
    await spool_some(make_bus, folder, 1, 2)
    [old, _] = whole(folder)
    stamp, _, rest = old.name.partition("-")
    old.rename(old.with_name(f"{int(stamp) - int(6.5 * 86_400e9):020d}-{rest}"))
    with caplog.at_level(logging.ERROR):
        async with make_bus(spool_dir=folder):
            pass
    assert (sent(), number(folder, "*.too-late")) == ([2], 1)
    assert "see whether it is on its stream" in caplog.text


async def test_a_spool_that_takes_nothing_leaves_the_message_with_its_sender(make_bus: MakeBus, tmp_path: Path) -> None:
    tmp_path.joinpath("file").touch()
    async with make_bus(redis_url=AWAY, spool_dir=tmp_path / "file" / "spool") as bus:
        with pytest.raises(NotSent, match=r"nor can it be kept in the spool: .*Not a directory") as caught:
            await bus.send_with_retry(STREAM, event(1), max_retries=0, idempotency_key="mine")
    assert caught.value.idempotency_key == "mine"


async def test_a_file_that_is_no_message_holds_up_none(make_bus: MakeBus, folder: Path, sent: Any) -> None:
    await spool_some(make_bus, folder, 1)
    (folder / "00000000000000000000-1-x.json").write_text("{")
    (folder / "readme.txt").write_text("not a message")
    async with make_bus(spool_dir=folder):
        pass
    assert (sent(), number(folder, "*.broken"), number(folder, "readme.txt")) == ([1], 1, 1)


async def test_another_process_that_drains_is_left_alone(make_bus: MakeBus, folder: Path, sent: Any) -> None:
    await spool_some(make_bus, folder, 1)
    with Spool(folder, life=timedelta(days=1)).locked() as mine:
        assert mine
        async with make_bus(spool_dir=folder) as bus:
            assert await bus.drain_spool() == Drained()
    assert sent() == []


def test_bytes_that_are_no_text_come_back_as_they_were(folder: Path) -> None:
    spool = Spool(folder, life=timedelta(days=1))
    message = SpooledMessage("s", {"raw": b"\xff\x00".decode(errors="surrogateescape"), "text": "grün"}, "key", 7)
    assert spool.load(spool.put(message)) == message


def test_names_are_in_the_order_of_putting(folder: Path) -> None:
    spool = Spool(folder, life=timedelta(days=1))
    files = [spool.put(SpooledMessage("s", {}, str(n))) for n in range(50)]
    assert spool.files() == files


# --------------------------------------------------------------------------------------------------------------------- killed at each step


def run(prefix: str, url: str, folder: Path, *arguments: str, stop_at: str = "") -> int:
    stop = folder.parent / "stop"
    stop.write_text(stop_at)
    env = {**os.environ, "REDIS_URL": url, "STREAMS_PREFIX": prefix, "STREAMS_SPOOL_DIR": str(folder), "TEST_STOP_FILE": str(stop)}
    return subprocess.run([sys.executable, "-m", "tests.bus_process", *arguments], env=env, timeout=60, check=False).returncode


@pytest.mark.chaos
@pytest.mark.parametrize("stop_at", ["before fsync", "after fsync", "before rename", "after rename"])
def test_a_sender_killed_while_it_spools_loses_at_most_what_it_never_said_it_had(
    folder: Path, redis_url: str, prefix: str, sent: Any, stop_at: str
) -> None:
    assert run(prefix, AWAY, folder, "send", STREAM, "first") == 0
    assert run(prefix, AWAY, folder, "send", STREAM, "second", stop_at=stop_at) == -signal.SIGKILL
    expected = ["first", "second"] if stop_at == "after rename" else ["first"]
    assert run(prefix, redis_url, folder, "start") == 0
    assert sent() == expected
    assert run(prefix, redis_url, folder, "send", STREAM, "second") == 0  # its sender tries again
    assert sent() == ["first", "second"]
    assert whole(folder) == []


@pytest.mark.chaos
@pytest.mark.parametrize("stop_at", ["before send_once", "after send_once", "before unlink", "after unlink", "before fsync", "after fsync"])
def test_a_process_killed_while_it_drains_sends_each_message_once(folder: Path, redis_url: str, prefix: str, sent: Any, stop_at: str) -> None:
    keys = ["1", "2", "3"]
    assert run(prefix, AWAY, folder, "send", STREAM, *keys) == 0
    assert run(prefix, redis_url, folder, "start", stop_at=stop_at) == -signal.SIGKILL
    assert run(prefix, redis_url, folder, "start") == 0
    assert sent() == keys
    assert whole(folder) == []
