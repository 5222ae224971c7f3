"""The example of another kind of job, as its README says it is run: every process real, the service known by configuration only."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery.exceptions import TaskRevokedError
from celery.result import AsyncResult

from streams.bus.topology import Service
from streams.embedded import EmbeddedServer
from tasks.local_stack.process import REPOSITORY
from tests.acceptance.stack import Stack
from tests.waiting import wait_until

RENDER = Service.named("render", lanes=("urgent", "normal"))
APP = "examples.render.app"


@pytest.fixture(scope="module")
def stack(own_server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack"), own_server, STREAMS_SERVICES="@examples/render/services.toml") as stack:
        stack._process("celery", ("-m", "celery", "-A", APP, "worker", "-c", "1", "-l", "INFO"), ready=" ready.")
        stack._process("bridge", ("-m", "celery", "-A", APP, "bridge"), ready="bridge: reading results")
        stack._process("worker", ("-m", "workers", "render"), ready="render: 1 at a time")
        stack.start()
        yield stack


def send(stack: Stack, task: str, *args: Any, **options: Any) -> AsyncResult:
    return stack.caller.signature(f"{APP}.{task}", args=args, kwargs=options.pop("kwargs", {})).apply_async(**options)


def file_of(artifact: dict[str, Any]) -> Path:
    return Path(urlsplit(artifact["uri"]).path)


@pytest.fixture(scope="module")
def film(stack: Stack) -> dict[str, Any]:
    """A short one, rendered."""
    rendered: dict[str, Any] = stack.get(send(stack, "film", ["sky.fetched"], kwargs={"frames": 4}))
    return rendered


def test_its_caller_runs_a_chain_of_all_three(stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.render", "24"],
        cwd=REPOSITORY,
        env=stack._environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "textures: ['wood.fetched', 'water.fetched', 'sky.fetched']" in lines
    assert any(line.startswith("film: ") and "/24 frames (render@" in line for line in lines)
    assert lines[-1].startswith("still: {'still': {'name': 'still.pgm'")


def test_a_film_is_a_file_and_its_log_tells_of_it(stack: Stack, film: dict[str, Any]) -> None:
    assert (film["frames"], film["complete"]) == (4, True)
    content = file_of(film["film"]).read_bytes()
    assert (content.startswith(b"YUV4MPEG2 W96 H64 "), content.count(b"FRAME\n"), len(content)) == (True, 4, film["film"]["size"])
    rows: Any = stack.redis.xrange(RENDER.status)
    assert "4 frames with 1 textures, 0 of them from an earlier run" in [fields.get("message") for _, fields in rows if fields["kind"] == "log"]


@pytest.mark.parametrize(
    ("task", "args", "kwargs", "says"),
    [("film", [[]], {"frames": 0}, "frames: Input should be greater"), ("still", [{"film": {"uri": "file:///nowhere"}}], {}, "No such file")],
)
def test_a_mistake_is_told(stack: Stack, task: str, args: list[Any], kwargs: dict[str, Any], says: str) -> None:
    with pytest.raises(Exception, match=says):
        stack.get(send(stack, task, *args, kwargs=kwargs))


def test_somebody_who_waits_for_a_still_goes_before_the_films(stack: Stack, film: dict[str, Any]) -> None:
    busy = send(stack, "film", [], kwargs={"frames": 40})
    stack.wait_for_states([busy], "STARTED", "PROGRESS")
    later = send(stack, "film", [], kwargs={"frames": 40})
    stack.wait_for_states([later], "DISPATCHED")
    still = stack.get(send(stack, "still", film, kwargs={"frame": 3}))["still"]
    assert file_of(still).read_bytes().startswith(b"P5 96 64 255\n")
    assert stack.state(later) != "SUCCESS"
    assert [40, 40] == [stack.get(result)["frames"] for result in (busy, later)]


def test_a_film_that_runs_out_of_time_is_shorter(stack: Stack) -> None:
    short = stack.get(send(stack, "film", [], kwargs={"frames": 10_000}, soft_time_limit=1.5))
    assert 0 < short["frames"] < 10_000
    assert not short["complete"]
    assert file_of(short["film"]).read_bytes().count(b"FRAME\n") == short["frames"]


def test_after_a_crash_of_the_worker_a_film_goes_on_where_it_was(stack: Stack) -> None:
    result = send(stack, "film", [], kwargs={"frames": 60})
    wait_until(lambda: stack.state(result) == "PROGRESS" and result.info["current"] > 5)
    stack.processes["worker"].crash()
    stack.start(stack.processes["worker"])
    assert stack.get(result)["complete"]
    log = (stack.directory / "jobs" / result.id / "job.log").read_text().splitlines()
    runs = [int(line.split(", ")[1].split()[0]) for line in log if "from an earlier run" in line]
    assert runs[0] == 0 < runs[1]


@pytest.mark.parametrize(("task", "args"), [("film", [[], 10_000]), ("fetch_textures", [["wood"], 60])])
def test_a_job_is_stopped_wherever_it_runs(stack: Stack, task: str, args: list[Any]) -> None:
    kwargs = {"frames": args.pop()} if task == "film" else {}
    result = send(stack, task, *args, kwargs=kwargs)
    stack.wait_for_states([result], "STARTED", "PROGRESS")
    result.revoke(terminate=True)
    with pytest.raises(TaskRevokedError):
        stack.get(result)
