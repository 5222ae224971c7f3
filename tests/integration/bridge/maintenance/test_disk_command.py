"""`celery -A tasks streams disk`: what it says is what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.redis_use import ELSEWHERE, family_of
from tests.protocol.scene import LONG, Scene

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(scene: Scene, redis_url: str, tmp_path: Path) -> Run:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "REDIS_URL": redis_url, "STREAMS_PREFIX": scene.keys.prefix, "JOBS_DIR": str(tmp_path / "jobs"), **environment}
        command = (sys.executable, "-m", "celery", "-A", "tests.bridged_app", "streams", "disk", *arguments)
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    return run


def folder(path: Path, size: int) -> None:
    path.mkdir(parents=True)
    (path / "file").write_bytes(b"x" * size)


def test_the_servers_memory_by_stream_and_kind_of_key(run: Run, scene: Scene) -> None:
    for number in range(120):
        scene.dispatch(f"p{number}", task=f"t{number}")
    scene.client.set(scene.keys.cancel_flag("t1"), "1", px=LONG)
    said = json.loads(run("--json").stdout)["redis"]
    (commands,) = [stream for stream in said["streams"] if stream["name"] == scene.service.commands]
    assert 120 == commands["entries"]
    assert scene.client.memory_usage(scene.commands) == commands["bytes"]
    families = {family["name"]: family for family in said["families"]}
    assert (120, 120) == (families["job:"]["keys"], families["job:"]["without_ttl"])
    assert (1, 0) == (families["cancel:"]["keys"], families["cancel:"]["without_ttl"])
    one = scene.client.memory_usage(scene.keys.job("p1")) or 0
    assert 0.8 * 120 * one < families["job:"]["bytes"] < 1.2 * 120 * one


def test_job_folders_and_artifacts_of_this_host(run: Run, scene: Scene, tmp_path: Path) -> None:
    scene.dispatch("p1", task="waiting")
    folder(tmp_path / "jobs" / "waiting", 3_000)
    folder(tmp_path / "jobs" / "done", 5_000)
    folder(tmp_path / "jobs" / ".records", 10)
    folder(tmp_path / "artifacts" / "done", 7_000)
    said = json.loads(run("--json", ARTIFACTS_URL=f"file://{tmp_path / 'artifacts'}").stdout)["disk"]
    jobs, artifacts = said
    assert [("done", 5_000, False), ("waiting", 3_000, True)] == [(each["name"], each["bytes"], each["is_open"]) for each in jobs["folders"]]
    assert (8_000, 7_000) == (jobs["bytes"], artifacts["bytes"])
    assert jobs["free_bytes"] > 0


def test_for_people_it_says_the_same_and_what_is_short(run: Run, tmp_path: Path) -> None:
    folder(tmp_path / "jobs" / "done", 5_000)
    done = run(ARTIFACTS_URL="s3://bucket/artifacts", MIN_FREE_DISK="1000TiB")
    assert 0 == done.returncode, done.stderr
    assert "done" in done.stdout
    assert "5.0 kB" in done.stdout
    assert "TOO LITTLE" in done.stdout
    assert "ARTIFACTS_URL: s3://bucket/artifacts isn't seen from this host" in done.stdout


@pytest.mark.parametrize(
    ("key", "prefix", "family"),
    [
        ("job:0123", "", "job:"),
        ("x:run:lab:0123", "x:", "run:"),
        ("jobs:open", "", "jobs:"),
        ("celery-task-meta-3f1c0e52-9d3f-4c1e-8a44-3c6e2a9f71d0", "", "celery-task-meta-"),
        ("_kombu.binding.celery", "", "_kombu.binding.celery"),
        ("job:0123", "x:", ELSEWHERE),
    ],
)
def test_kinds_of_keys(key: str, prefix: str, family: str) -> None:
    assert family == family_of(key, prefix)
