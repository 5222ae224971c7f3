"""`celery -A tasks streams trim` on a real server: what it says is what is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.protocol.scene import Scene

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(scene: Scene, redis_url: str) -> Run:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "REDIS_URL": redis_url, "STREAMS_PREFIX": scene.keys.prefix, "STREAMS_SERVICES": '{"lab": {}}', **environment}
        command = (sys.executable, "-m", "celery", "-A", "tests.bridged_app", "streams", "trim", *arguments)
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    return run


def of_lab(done: subprocess.CompletedProcess[str], stream: str) -> dict[str, Any]:
    assert 0 == done.returncode, done.stderr
    return next(row for row in json.loads(done.stdout)["streams"] if row["stream"] == stream)


def finished(scene: Scene, count: int) -> None:
    for number in range(count):
        delivery, token = scene.started(f"p{number}", task=f"t{number}")
        scene.finish(delivery, token)
        scene.close(f"p{number}", task=f"t{number}")


def test_a_dry_run_says_what_would_go_and_changes_nothing(run: Run, scene: Scene) -> None:
    finished(scene, 5)
    row = of_lab(run("--dry-run", "--json"), scene.service.commands)
    assert (5, 5) == (row["length"], row["removed"])
    assert 5 == scene.client.xlen(scene.commands)


def test_it_removes_what_is_done_with_and_says_so(run: Run, scene: Scene) -> None:
    finished(scene, 5)
    done = run("--exact")
    assert 0 == done.returncode
    assert f"{scene.service.commands}: 5 removed" in done.stdout
    assert "10 entries removed" in done.stdout
    assert [0, 0] == [scene.client.xlen(stream) for stream in (scene.commands, scene.results)]


def test_what_is_kept_by_the_limits_is_counted(run: Run, scene: Scene) -> None:
    finished(scene, 5)
    row = of_lab(run("--exact", "--json", STREAMS_LIMITS='{"lab": {"keep_entries": 2}}'), scene.service.results)
    assert (3, 2) == (row["removed"], row["kept"])


def test_it_names_the_consumer_that_holds_the_floor_and_since_when(run: Run, scene: Scene) -> None:
    delivery, _ = scene.started("held", task="held", consumer="worker-7")
    done = run("--explain", scene.service.commands)
    assert 0 == done.returncode, done.stderr
    assert delivery.entry in done.stdout
    assert f"{delivery.entry} is in the hands of worker-7, not renewed for 0:00:" in done.stdout
    assert "delivery 1; 1 pending" in done.stdout
    assert scene.service.results not in done.stdout


def test_it_names_a_group_that_nobody_reads(run: Run, scene: Scene) -> None:
    finished(scene, 1)
    scene.client.xgroup_create(scene.results, "forgotten", "0")
    row = of_lab(run("--json"), scene.service.results)
    assert ["forgotten has read up to 0-0, and nothing is in its hands"] == row["held_by"]


def test_a_stream_that_is_not_trimmed_is_refused_with_those_that_are(run: Run, scene: Scene) -> None:
    done = run(scene.service.dead_letters)
    assert 2 == done.returncode
    assert scene.service.commands in done.stderr


def test_a_server_that_is_away_is_told_in_one_sentence(run: Run) -> None:
    done = run(REDIS_URL="redis://:secret@127.0.0.1:1/0")
    assert 1 == done.returncode
    assert "is it running, and is REDIS_URL the one that the bridge uses?" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
