"""`make up` without make: the real system in the foreground, and nothing left of it, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
from celery import Celery

from streams.bus.topology import Keys, RedisStreamsConfig
from tasks.local_stack.process import REPOSITORY
from tests.waiting import wait_until


class Running:
    """The command, with what it prints."""

    def __init__(self, directory: Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tasks.local_stack", "--dir", str(directory)],
            cwd=REPOSITORY,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.output += line

    def said(self, pattern: str) -> str | None:
        match = re.search(pattern, self.output)
        return None if match is None else match.group(1)

    def wait_for(self, pattern: str) -> str:
        return wait_until(lambda: self.said(pattern), 60, message=lambda: f"{pattern} in:\n{self.output}") or ""

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.close()


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # between the two
        return True


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as page:
            return bool(page.status == 200)
    except OSError:
        return False


def wait_until_all_is_up(up: Running) -> None:
    broker = up.wait_for("CELERY_BROKER_URL='(.*)'")
    app = Celery(broker=broker, set_as_current=False)
    wait_until(
        lambda: {"celery", "bridge"} <= {node.partition("@")[0] for answer in app.control.ping(timeout=0.5) for node in answer},
        timeout=30,
        message=lambda: f"worker and bridge answer:\n{up.output}",
    )
    page = up.wait_for(r"Flower: (http://127\.0\.0\.1:\d+)")
    wait_until(lambda: answers(page), message="Flower's page")
    with redis.Redis.from_url(up.wait_for("REDIS_URL='(.*)'"), decode_responses=True) as client:
        stream = Keys("").stream(RedisStreamsConfig.MGMT_BACKTESTING_COMMANDS)
        wait_until(lambda: client.exists(stream) and client.xinfo_groups(stream), message=lambda: f"the worker made its group:\n{up.output}")


@pytest.mark.slow
def test_ctrl_c_stops_everything_in_good_order(up: Running) -> None:
    wait_until_all_is_up(up)
    family = up.family()
    assert {"celery", "beat", "bridge", "backtesting", "freqai", "hyperopt", "data", "flower"} == set(
        re.findall(r"system\s+\| (\w+) started", up.output)
    )
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(20) == 0
    assert "SIGKILL" not in up.output
    assert all(map(is_gone, family)), [process for process in family if not is_gone(process)]


@pytest.mark.slow
@pytest.mark.chaos
def test_nothing_survives_a_sigkill(up: Running) -> None:
    wait_until_all_is_up(up)
    family = up.family()
    up.process.kill()
    wait_until(lambda: all(map(is_gone, family)), message=lambda: f"gone: {[process for process in family if not is_gone(process)]}")
