"""What passes is tried again: with growing waits, a full disk and a lost connection too."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bridge import DeadLettered, JobInfo
from streams.embedded import EmbeddedServer
from tests.acceptance.stack import LAB, Stack
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    limits = {"STREAMS_MAX_DELIVERIES": "4", "WORKER_RETRY_BASE_SECONDS": "0.4"}
    with Stack(tmp_path_factory.mktemp("stack"), own_server, None, **limits) as stack:
        stack.celery("celery", "-P", "solo")
        stack.bridge()
        stack.worker("worker")
        stack.start()
        yield stack


def test_the_waits_double_with_jitter_up_to_the_cap(stack: Stack) -> None:
    """A worker that waits for hours: each wait is cut short, and the next one looked at."""
    stack.processes["worker"].crash()
    worker = stack.worker("patient", WORKER_RETRY_BASE_SECONDS="36000", WORKER_RETRY_CAP_SECONDS="100000")
    stack.start(worker)
    result, delayed, waits = stack.send("fail", retryable=True), stack.keys.delayed(LAB.name), []
    for _ in range(3):
        rows: Any = wait_until(lambda: stack.redis.zrange(delayed, "(1", "+inf", byscore=True, withscores=True))
        waits.append(rows[0][1] / 1000 - time.time())
        stack.redis.zadd(delayed, {rows[0][0]: 1})
    with pytest.raises(DeadLettered, match="exhausted after 4 deliveries"):
        stack.get(result)
    stack.wait_for_rest()
    minute = 60
    for wait, full in zip(waits, (36_000, 72_000, 100_000), strict=True):
        assert full / 2 - minute <= wait <= full
    worker.crash()
    stack.start(stack.processes["worker"])


def test_a_delayed_one_says_when_it_is_due(stack: Stack, tmp_path: Path) -> None:
    result = stack.send("until", path=str(tmp_path / "cure"), value=1)
    wait_until(lambda: JobInfo.of(result).stage == "delayed" and JobInfo.of(result).due_at)
    (tmp_path / "cure").touch()
    assert stack.get(result) == {"value": 1}
    stack.wait_for_rest()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB; where none may be mounted, a folder whose file is a device that is always full."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False)
    if mount.returncode == 0:
        (place / "others").write_bytes(b"x" * (60 << 10))
    else:
        (place / "new").symlink_to("/dev/full")
    try:
        yield place
    finally:
        if mount.returncode == 0:
            subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_a_passing_trouble(stack: Stack, small_disk: Path) -> None:
    result = stack.send("fill", path=str(small_disk / "new"))
    stack.wait_for_run(result, 2)
    (small_disk / "others").unlink(missing_ok=True)
    (small_disk / "new").unlink(missing_ok=True)
    assert stack.get(result) == {"written": 32 << 10}
    stack.wait_for_rest()


def test_a_full_disk_that_stays_full_is_told_as_such(stack: Stack, small_disk: Path) -> None:
    result = stack.send("fill", path=str(small_disk / "new"))
    with pytest.raises(DeadLettered, match=r"exhausted after 4 deliveries .*OSError: \[Errno 28\] No space left on device"):
        stack.get(result)
    stack.wait_for_rest()


def test_a_lost_connection_is_a_passing_trouble(stack: Stack) -> None:
    """A job that talks to a server which hangs up on it."""
    result = stack.send("hung_up", failures=2)
    assert stack.get(result) == {"runs": 3}
    stack.wait_for_rest()


def test_a_jobs_folder_that_cant_be_made_now_is_one_too(stack: Stack, small_disk: Path) -> None:
    """The disk of JOBS_DIR has no room for another folder."""
    if not small_disk.is_mount():
        return  # a device is no disk; the same is shown for a job's own files
    (small_disk / "others").unlink()
    stack.processes["worker"].crash()
    worker = stack.processes.get("cramped") or stack.worker("cramped", JOBS_DIR=str(small_disk), MIN_FREE_DISK="0")
    try:
        stack.start(worker)
        subprocess.run(["mount", "-o", "remount,nr_inodes=2", str(small_disk)], check=True)
        (small_disk / "others").touch()
        result = stack.send("echo", value=1)
        wait_until(lambda: JobInfo.of(result).stage == "delayed")
        subprocess.run(["mount", "-o", "remount,nr_inodes=100", str(small_disk)], check=True)
        assert stack.get(result) == {"value": 1}
        stack.wait_for_rest()
    finally:
        worker.crash()
        stack.start(stack.processes["worker"])
