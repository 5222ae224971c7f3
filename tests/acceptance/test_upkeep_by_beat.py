"""Upkeep in the hands of beat, and two beats at once: each work is done once in its interval, and nothing is missing. Real processes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.maintenance.registry import WORKS
from streams.embedded import EmbeddedServer
from tests.acceptance.stack import Process, Stack
from tests.waiting import wait_until

DONE = re.compile(r"Task streams\.maintenance\.(\w+)\[\S+\] succeeded in \S+ \{'done': (True|False)")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory: Path = tmp_path_factory.mktemp("stack")
    intervals = {f"BRIDGE_{work.name.upper()}_SECONDS": "1" for work in WORKS}
    with EmbeddedServer() as server, Stack(directory, server, None, BRIDGE_UPKEEP="beat", **intervals) as stack:
        stack.start(stack.celery(), stack.bridge(), stack.worker(), *(beat(stack, name) for name in ("beat1", "beat2")))
        yield stack


def beat(stack: Stack, name: str) -> Process:
    schedule = str(stack.directory / f"{name}-schedule")
    arguments = ("-m", "celery", "-A", "tests.bridged_app", "beat", "-l", "INFO", "-s", schedule, "--pidfile", str(stack.directory / f"{name}.pid"))
    return stack.other(name, arguments, ready="beat: Starting...")


def test_a_job_that_was_put_off_by_its_worker_is_promoted_and_its_streams_are_trimmed(stack: Stack) -> None:
    result = stack.send("flaky", failures=1, how="retryable")
    assert {"runs": 2} == stack.get(result, timeout=60)
    wait_until(lambda: stack.redis.xlen(stack.lab.results) <= 1)


def test_each_work_is_done_by_beat_once_in_its_interval(stack: Stack) -> None:
    celery = stack.processes["celery"]

    def outcomes() -> Counter[tuple[str, str]]:
        return Counter((found[1], found[2]) for found in DONE.finditer(celery.log))

    # Of two messages in an interval one is done.
    works = {work.name for work in WORKS}
    wait_until(lambda: all(outcomes()[name, done] >= 2 for name in works for done in ("True", "False")), 60, lambda: str(outcomes()))
    noted = {str(name): json.loads(str(value)) for name, value in stack.redis.hgetall(stack.keys.upkeep).items()}
    assert works == set(noted)
    assert {"beat"} == {note["by"] for note in noted.values()}
    assert [] == [note for note in noted.values() if "error" in note]
