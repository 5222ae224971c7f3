"""Nothing outlives what it belongs to, nothing leaks, and nothing is seen that shouldn't be."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.waiting import async_wait_until, wait_until
from workers.errors import Retryable
from workers.process import Cancelled, ChildServer, ChildServerError, Crashed, Succeeded

GONE_SECONDS = 2
SECRETS = {"REDIS_URL", "FREQTRADE__EXCHANGE__KEY", "MY_TOKEN"}


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.chaos
@pytest.mark.parametrize("how", ["fork", "session"])
def test_kill_9_of_the_parent_takes_everything_along(tmp_path: Path, how: str) -> None:
    with subprocess.Popen([sys.executable, "-m", "tests.parent_process", str(tmp_path), how], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline())
        assert dict.fromkeys(pids, True) == {name: runs(pid) for name, pid in pids.items()}
        parent.kill()
        wait_until(lambda: not any(map(runs, pids.values())), GONE_SECONDS, lambda: str({name: runs(pid) for name, pid in pids.items()}))


@pytest.mark.chaos
def test_kill_9_of_the_parent_while_its_server_imports_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "slow_import.py").write_text(
        "import os, time\nprint(os.getpid(), file=open('pid.part', 'w'), flush=True)\nos.rename('pid.part', 'pid')\ntime.sleep(3600)"
    )
    (tmp_path / "slow_handlers.py").write_text("PRELOAD = ('slow_import',)")
    code = "import asyncio; from workers.process import ChildServer; asyncio.run(ChildServer(('slow_handlers',)).start())"
    paths = os.pathsep.join([str(tmp_path), str(Path.cwd())])
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths}) as parent:
        zygote = int(wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
        parent.kill()
        wait_until(lambda: not runs(zygote), GONE_SECONDS)


@pytest.mark.chaos
async def test_kill_9_of_the_child_server_is_a_crash_and_the_next_job_gets_a_new_one(children: ChildServer, job_request: Any, tmp_path: Path) -> None:
    child = await children.spawn(job_request("test.spawn", "victim", wait_seconds=3600))
    marker = tmp_path / "jobs/victim/grandchild"
    await async_wait_until(marker.exists)
    first = children.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    outcome = await child.wait()
    assert isinstance(outcome, Crashed)
    assert "the warm child server died" in outcome.description
    await async_wait_until(lambda: not runs(child.pid) and not runs(int(marker.read_text())), GONE_SECONDS)
    again = await (await children.spawn(job_request("test.echo", a=1))).wait()
    assert isinstance(again, Succeeded)
    assert children.pid not in {None, first}


async def test_a_job_whose_connection_is_lost_ends_with_its_group(children: ChildServer, job_request: Any, tmp_path: Path) -> None:
    child = await children.spawn(job_request("test.spawn", "job", wait_seconds=3600))
    marker = tmp_path / "jobs/job/grandchild"
    await async_wait_until(marker.exists)
    child.abandon()
    outcome = await child.wait()
    assert isinstance(outcome, Crashed)
    assert not runs(child.pid)
    await async_wait_until(lambda: not runs(int(marker.read_text())), GONE_SECONDS)


async def test_a_result_that_is_read_after_the_exit_report_counts(children: ChildServer, job_request: Any) -> None:
    child = await children.spawn(job_request("test.large", size=100_000))
    wait_until(lambda: not runs(child.pid))  # blocks the event loop: result and report both wait to be read
    link = children._zygote
    assert link is not None

    def report_is_read() -> bool:
        link._read()
        return child._outcome is not None

    wait_until(report_is_read)  # the report first
    assert isinstance(await child.wait(), Succeeded)


async def test_spawns_that_meet_a_dying_server_fail_in_a_retryable_way(children: ChildServer, job_request: Any) -> None:
    await children.start()
    assert children.pid is not None
    os.kill(children.pid, signal.SIGSTOP)
    waiting = asyncio.create_task(children.spawn(job_request("test.echo")))
    await asyncio.sleep(0)
    os.kill(children.pid, signal.SIGKILL)
    with pytest.raises(Retryable):
        await waiting


async def test_a_spawn_that_is_cancelled_leaves_no_process(children: ChildServer, job_request: Any) -> None:
    await children.start()
    assert children.pid is not None
    zygote = psutil.Process(children.pid)
    os.kill(zygote.pid, signal.SIGSTOP)
    waiting = asyncio.create_task(children.spawn(job_request("test.sleep", seconds=3600)))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    os.kill(zygote.pid, signal.SIGCONT)
    outcome = await (await children.spawn(job_request("test.echo"))).wait()
    assert isinstance(outcome, Succeeded)
    await async_wait_until(lambda: not zygote.children())


async def test_sigterm_to_the_child_server_is_ignored_while_its_parent_lives(children: ChildServer, run_job: Any) -> None:
    await children.start()
    before = children.pid
    assert before is not None
    os.kill(before, signal.SIGTERM)
    os.kill(before, signal.SIGINT)
    outcome, _ = await run_job("test.echo")
    assert isinstance(outcome, Succeeded)
    assert before == children.pid


@pytest.mark.parametrize("how", ["fork", "session"])
async def test_a_grandchild_neither_delays_the_outcome_nor_survives(run_job: Any, how: str) -> None:
    outcome, _ = await run_job("test.spawn", how=how)
    await async_wait_until(lambda: not runs(outcome.decoded()["pid"]), GONE_SECONDS)


async def test_a_daemon_of_a_running_job_lives_while_other_jobs_end(children: ChildServer, job_request: Any, run_job: Any, tmp_path: Path) -> None:
    child = await children.spawn(job_request("test.spawn", "long", how="session", wait_seconds=3600))
    marker = tmp_path / "jobs/long/grandchild"
    await async_wait_until(marker.exists)
    await run_job("test.spawn", how="session")
    assert runs(int(marker.read_text()))
    await child.stop(0)
    await async_wait_until(lambda: not runs(int(marker.read_text())), GONE_SECONDS)


async def test_closing_ends_running_jobs(job_request: Any) -> None:
    server = ChildServer(("tests.handlers",))
    child = await server.spawn(job_request("test.sleep", seconds=3600))
    await server.close()
    assert isinstance(await child.wait(), Crashed)
    assert not runs(child.pid)


@pytest.mark.parametrize("after_spawn", [False, True])
async def test_many_jobs_leave_neither_files_nor_processes_behind(children: ChildServer, job_request: Any, after_spawn: bool) -> None:
    await children.start()
    assert children.pid is not None
    us, zygote = psutil.Process(), psutil.Process(children.pid)
    before = us.num_fds(), zygote.num_fds()
    for number in range(20):
        child = await children.spawn(job_request("test.crash" if number % 3 else "test.echo", **({"exit": 0} if number % 3 else {})))
        if after_spawn:
            await child.stop(0)
        await child.wait()
    assert before == (us.num_fds(), zygote.num_fds())
    assert zygote.children() == []
    assert [] == [process for process in us.children() if process.pid != zygote.pid and process.status() == psutil.STATUS_ZOMBIE]


async def test_no_secret_is_in_the_environment_of_child_or_server(run_job: Any) -> None:
    outcome, _ = await run_job("test.environ")
    seen = outcome.decoded()
    for names in (seen["environ"].keys(), seen["parent_environ"].keys()):
        assert set() == SECRETS & names
        assert {"PATH", "OMP_NUM_THREADS"} <= names
    assert seen["environ"]["OMP_NUM_THREADS"] == "1"


async def test_a_variable_that_a_handlers_settings_declare_passes(monkeypatch: pytest.MonkeyPatch, job_request: Any, tmp_path: Path) -> None:
    log = tmp_path / "runs.log"
    monkeypatch.setenv("TEST_RUN_LOG", str(log))
    server = ChildServer(("tests.handlers",))
    child = await server.spawn(job_request("test.echo", "the-job", attempt=2, delivery=3))
    await child.wait()
    await server.close()
    assert ["the-job", "2", "3", str(child.pid)] == log.read_text().split()[:4]


async def test_children_start_warm_and_clean(children: ChildServer, run_job: Any) -> None:
    outcome, _ = await run_job("test.environ")
    seen = outcome.decoded()
    assert children.pid == seen["imported_by"] == seen["parent"]
    assert seen["preloaded"]
    assert seen["pid"] == seen["group"]
    assert set() == {"redis", "hiredis", "celery", "kombu"} & set(seen["modules"])
    assert ["MainThread", "parent-link"] == seen["threads"]
    kinds = Counter(target.split(":")[0] for target in seen["fds"].values())
    assert kinds["socket"] == 1  # to the parent, and none of the server's
    assert kinds["/dev/null"] == 1
    assert len(seen["fds"]) == 4
    assert str(Path.cwd()) == seen["cwd"]


async def test_children_draw_different_random_numbers(run_job: Any) -> None:
    draws = [(await run_job("test.random"))[0].decoded() for _ in range(2)]
    assert draws[0]["python"] != draws[1]["python"]
    assert draws[0]["numpy"] != draws[1]["numpy"]


async def test_a_handler_module_that_cannot_be_imported_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_here.py").write_text("import os\nassert os.environ.get('MY_TOKEN'), 'no token here'")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("MY_TOKEN", "secret")  # the parent can import it, the child server can't
    server = ChildServer(("only_here",))
    with pytest.raises(ChildServerError, match="no token here"):
        await server.start()
    assert server.pid is None
    await server.close()


async def test_stop_before_the_job_has_begun_ends_it(children: ChildServer, job_request: Any) -> None:
    child = await children.spawn(job_request("test.sleep", seconds=3600))
    assert isinstance(await child.stop(5, "at once"), Cancelled)
