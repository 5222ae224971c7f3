"""`celery -A tasks streams migrate`: what the predecessor left is moved, in order, once, whenever the command is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from streams.bus.clients import connect
from streams.bus.topology import Predecessor, RedisStreamsConfig
from streams.embedded import EmbeddedServer

COMMANDS, STATUS, EVENTS = RedisStreamsConfig.MGMT_TRADING_COMMANDS, RedisStreamsConfig.TRADING_MGMT_STATUS, RedisStreamsConfig.SYSTEM_EVENTS
START_MS = 1_750_000_000_000
PREFIX = "new:"


@pytest.fixture(scope="module")
def own_server() -> Iterator[EmbeddedServer]:
    """Old streams have no prefix."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def old(own_server: EmbeddedServer) -> Iterator[redis.Redis]:
    with connect(own_server.url) as client:
        client.flushdb()
        yield client


def run(server: EmbeddedServer, *arguments: str, stop: Path | None = None, url: str | None = None) -> subprocess.CompletedProcess[str]:
    env: dict[str, str] = {
        **os.environ,
        "REDIS_URL": url or server.url,
        "STREAMS_PREFIX": PREFIX,
        "COLUMNS": "200",
        "TEST_STOP_FILE": str(stop or ""),
    }
    env |= {"CELERY_BROKER_URL": server.celery_url(1), "CELERY_RESULT_BACKEND": server.celery_url(2)}
    command = (sys.executable, "-m", "celery", "-A", "tests.bridged_app", "streams", "migrate", *arguments)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=110, check=False)


def add(client: redis.Redis, stream: str, number: int, **fields: str) -> str:
    """The entry of second `number`."""
    entry: dict[Any, Any] = {"n": str(number), **fields}
    return str(client.xadd(stream, entry, id=f"{START_MS + 1000 * number}-3"))


def numbers(client: redis.Redis, stream: str) -> list[int]:
    rows: Any = client.xrange(stream)
    return [int(fields["n"]) for _, fields in rows]


def test_each_old_stream_goes_where_it_belongs_in_order(own_server: EmbeddedServer, old: redis.Redis) -> None:
    for n in range(6):
        add(old, ("mcp_commands", "bot_commands")[n % 2], n)
    add(old, "bot_events", 6)
    add(old, "system_events", 7)
    add(old, "mcp_events", 8, destination="backtesting")
    add(old, "mcp_events", 9, payload=json.dumps({"destination": "freqai"}))
    add(old, "mcp_events", 10, destination="trading")
    done = run(own_server)
    assert done.returncode == 0, done.stderr
    assert {
        stream: numbers(old, f"{PREFIX}{stream}") for stream in (COMMANDS, STATUS, EVENTS, "mgmt:backtesting:commands", "mgmt:freqai:commands")
    } == {
        COMMANDS: [0, 1, 2, 3, 4, 5, 10],
        STATUS: [6],
        EVENTS: [7],
        "mgmt:backtesting:commands": [8],
        "mgmt:freqai:commands": [9],
    }
    assert [old.xlen(stream) for stream in Predecessor.ALL] == [0] * 5


def test_an_entry_keeps_its_fields_and_its_time(own_server: EmbeddedServer, old: redis.Redis) -> None:
    entry = str(old.xadd("bot_events", {"event": "filled", b"raw": b"\xff\x00"}, id=f"{START_MS}-7"))
    run(own_server)
    rows: Any = old.xrange(f"{PREFIX}{STATUS}")
    [(_, fields)] = rows
    assert (fields["event"], fields["raw"].encode(errors="surrogateescape")) == ("filled", b"\xff\x00")
    assert (fields["original_stream"], fields["original_id"]) == ("bot_events", entry)
    assert datetime.fromisoformat(fields["original_time"]).timestamp() * 1000 == START_MS
    assert datetime.fromisoformat(fields["migrated_at"]).tzinfo is not None


def test_what_cant_be_routed_stays_and_is_listed(own_server: EmbeddedServer, old: redis.Redis) -> None:
    nameless, unknown = add(old, "mcp_events", 1), add(old, "mcp_events", 2, destination="mars")
    add(old, "mcp_events", 3, destination="freqai")
    done = run(own_server)
    assert done.returncode == 1
    assert nameless in done.stdout
    assert "names no destination" in done.stdout
    assert unknown in done.stdout
    assert "'mars', which is no service: backtesting, data, freqai, hyperopt, lab, trading" in done.stdout
    assert (numbers(old, "mcp_events"), numbers(old, f"{PREFIX}mgmt:freqai:commands")) == ([1, 2], [3])
    assert run(own_server).returncode == 1  # and again


def test_a_dry_run_says_the_same_and_moves_nothing(own_server: EmbeddedServer, old: redis.Redis) -> None:
    for n in range(3):
        add(old, "mcp_commands", n)
    add(old, "mcp_events", 4)
    dry = run(own_server, "--dry-run")
    assert dry.returncode == 1
    assert "would be moved" in dry.stdout
    assert "would stay: 1" in dry.stdout
    assert "2025-06-15 15:06:40" in dry.stdout
    assert set(old.scan_iter()) == {"mcp_commands", "mcp_events"}
    told, did = json.loads(run(own_server, "--dry-run", "--json").stdout), json.loads(run(own_server, "--json").stdout)
    assert (told.pop("dry_run"), did.pop("dry_run")) == (True, False)
    assert told == did
    assert did["moved"] == [
        {"from": "mcp_commands", "to": COMMANDS, "entries": 3, "oldest": "2025-06-15T15:06:40+00:00", "newest": "2025-06-15T15:06:42+00:00"}
    ]


def test_a_command_that_was_carried_out_isnt_a_second_time_unless_asked_for(own_server: EmbeddedServer, old: redis.Redis) -> None:
    for n in range(4):
        add(old, "bot_commands", n)
        add(old, "bot_events", n)
    for stream in ("bot_commands", "bot_events"):
        old.xgroup_create(stream, "bots", id="0")
        old.xreadgroup("bots", "one", {stream: ">"}, count=3)
        old.xack(stream, "bots", *[f"{START_MS + 1000 * n}-3" for n in (0, 1)])
    done = run(own_server)
    assert done.returncode == 1
    assert "is a command that was carried out" in done.stdout
    assert (numbers(old, "bot_commands"), numbers(old, f"{PREFIX}{COMMANDS}")) == ([0, 1], [2, 3])
    assert numbers(old, f"{PREFIX}{STATUS}") == [0, 1, 2, 3]  # news is moved whole
    assert run(own_server, "--handled").returncode == 0
    assert sorted(numbers(old, f"{PREFIX}{COMMANDS}")) == [0, 1, 2, 3]


def test_a_key_that_is_no_stream_is_listed(own_server: EmbeddedServer, old: redis.Redis) -> None:
    old.rpush("bot_events", "filled")
    add(old, "system_events", 1)
    done = run(own_server)
    assert (done.returncode, numbers(old, f"{PREFIX}{EVENTS}")) == (1, [1])
    assert "is no stream, but a list" in done.stdout


def test_without_old_streams_there_is_nothing_to_do(own_server: EmbeddedServer, old: redis.Redis) -> None:
    done = run(own_server)
    assert (done.returncode, done.stdout) == (0, "The old streams are empty: there is nothing to move.\n")


def test_a_server_that_is_away_is_told_in_one_sentence(own_server: EmbeddedServer, old: redis.Redis) -> None:
    done = run(own_server, url="redis://127.0.0.1:1/0")
    assert done.returncode == 69
    assert done.stderr.startswith("Error: Redis at redis://127.0.0.1:1/0: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.chaos
@pytest.mark.slow
def test_killed_again_and_again_it_moves_each_of_10000_entries_once_and_in_order(
    own_server: EmbeddedServer, old: redis.Redis, tmp_path: Path
) -> None:
    with old.pipeline(transaction=False) as pipe:
        for n in range(10_000):
            add(pipe, ("mcp_commands", "bot_commands", "mcp_events")[n % 3], n, destination="trading" if n % 500 else "nowhere")
        pipe.execute()
    for point in ("before migrate", "after migrate", "after migrate"):
        stop = tmp_path / "stop"
        stop.write_text(point)
        assert run(own_server, stop=stop).returncode == -signal.SIGKILL
    half_way = old.xlen(f"{PREFIX}{COMMANDS}")
    last = run(own_server)
    unroutable = [n for n in range(10_000) if n % 3 == 2 and n % 500 == 0]
    assert 0 < half_way < 10_000
    assert last.returncode == 1
    assert numbers(old, f"{PREFIX}{COMMANDS}") == [n for n in range(10_000) if n not in set(unroutable)]
    assert numbers(old, "mcp_events") == unroutable
    assert [old.xlen(stream) for stream in ("mcp_commands", "bot_commands")] == [0, 0]
