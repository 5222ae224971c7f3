"""The local stack's processes: started together, logged, and gone together, however their parent ends. With small programs of the test's own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from streams.embedded import ExternalServer
from tasks.local_stack import LocalStack, ProcessEnded, Program, Side, default_programs
from tasks.local_stack.environment import process_environment
from tasks.local_stack.process import REPOSITORY
from tests.waiting import wait_until

SLEEPER = "import time; print('up'); time.sleep(600)"
STUBBORN = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, lambda *_: print('no'));"
    "child = subprocess.Popen(['sleep', '600']); print('child', child.pid);"
    "[time.sleep(1) for _ in range(600)]"
)
FOREGROUND = """
import sys
from pathlib import Path
from tasks.local_stack import LocalStack, Program, Side
from tasks.local_stack.foreground import run_in_foreground
programs = [Program(name, ("-c", code), Side.WORKER) for name, code in zip(sys.argv[3::2], sys.argv[4::2])]
sys.exit(run_in_foreground(LocalStack(Path(sys.argv[1]), programs=programs, grace_seconds=float(sys.argv[2]))))
"""


def program(name: str, code: str, side: Side = Side.WORKER) -> Program:
    return Program(name, ("-c", code), side)


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_each_side_gets_its_own_environment(tmp_path: Path) -> None:
    base = {
        "PATH": "/bin",
        "STREAMS_PREFIX": "p:",
        "CELERY_BROKER_URL": "x",
        "FLOWER_PORT": "1",
        "FREQTRADE__EXCHANGE__SECRET": "s",
        "FREQTRADE_CONFIG": "c",
    }
    server = ExternalServer("unix:///s.sock")
    worker = process_environment(Side.WORKER, base, server, tmp_path, 10)
    celery = process_environment(Side.CELERY, base, server, tmp_path, 10)
    assert worker == {
        "PATH": "/bin",
        "STREAMS_PREFIX": "p:",
        "FREQTRADE__EXCHANGE__SECRET": "s",
        "FREQTRADE_CONFIG": "c",
        "PYTHONUNBUFFERED": "1",
        "REDIS_URL": "unix:///s.sock",
        "JOBS_DIR": f"{tmp_path}/jobs",
        "ARTIFACTS_URL": f"{tmp_path}/artifacts",
        "WORKER_DRAIN_SECONDS": "10",
    }
    assert celery["CELERY_BROKER_URL"] == celery["CELERY_RESULT_BACKEND"] == "redis+socket:///s.sock?virtual_host=0"
    assert celery["REDIS_URL"] == "unix:///s.sock"
    assert not [name for name in celery if name.startswith("FREQTRADE__")]


def test_what_the_environment_says_already_is_kept(tmp_path: Path) -> None:
    worker = process_environment(Side.WORKER, {"JOBS_DIR": "/elsewhere"}, ExternalServer("unix:///s.sock"), tmp_path, 10)
    assert worker["JOBS_DIR"] == "/elsewhere"


def test_the_whole_system(tmp_path: Path) -> None:
    assert [program.name for program in default_programs(tmp_path)] == [
        "celery",
        "beat",
        "bridge",
        "backtesting",
        "freqai",
        "hyperopt",
        "data",
        "flower",
    ]


def test_flower_moves_aside_from_a_taken_port(tmp_path: Path) -> None:
    first, second = (default_programs(tmp_path, flower_port=port)[-1].url for port in (None, 6000))
    assert first is not None
    assert first.startswith("http://127.0.0.1:")
    assert second == "http://127.0.0.1:6000"


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such process: typo; there are celery, beat"):
        LocalStack(tmp_path, only=["typo"])


@pytest.fixture
def _own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)


@pytest.mark.usefixtures("_own_server")
class TestInTheBackground:
    def test_processes_reach_the_server_and_write_their_logs(self, tmp_path: Path) -> None:
        code = "import os, redis; redis.Redis.from_url(os.environ['REDIS_URL']).set('from', 'child'); print('done'); import time; time.sleep(600)"
        with LocalStack(tmp_path, programs=[program("one", code), program("two", SLEEPER)]) as stack:
            wait_until(lambda: stack.processes["one"].log_tail() == "done", message=stack.processes["one"].log_tail)
            wait_until(lambda: stack.processes["two"].log_tail() == "up")
            with redis.Redis.from_url(stack.client_environment["REDIS_URL"]) as client:
                assert client.get("from") == b"child"
            started = [psutil.Process(process.pid) for process in stack.processes.values()]
            stack.check()
        assert all(map(is_gone, started))
        assert not (tmp_path / "redis" / "s.sock").exists()

    def test_one_that_ends_by_itself_is_reported_with_its_log(self, tmp_path: Path) -> None:
        with LocalStack(tmp_path, programs=[program("bad", "raise SystemExit('no config')")]) as stack:
            wait_until(lambda: not stack.processes["bad"].running)
            with pytest.raises(ProcessEnded, match=r"(?s)bad ended with exit code 1.*no config"):
                stack.check()

    def test_a_killed_process_starts_again_with_its_log_going_on(self, tmp_path: Path) -> None:
        with LocalStack(tmp_path, programs=[program("one", SLEEPER)]) as stack:
            one = stack.processes["one"]
            wait_until(lambda: one.log_tail() == "up")
            first = one.pid
            one.kill()
            assert one.returncode == -signal.SIGKILL
            one.start()
            assert one.pid != first
            wait_until(lambda: one.log_tail() == "up\nup")

    def test_one_that_ignores_sigterm_is_killed_with_its_children(self, tmp_path: Path) -> None:
        with LocalStack(tmp_path, programs=[program("stubborn", STUBBORN)], grace_seconds=0.5) as stack:
            stubborn = stack.processes["stubborn"]
            wait_until(lambda: "child" in stubborn.log_tail())
            family = [psutil.Process(stubborn.pid), *psutil.Process(stubborn.pid).children()]
            assert len(family) == 2
        wait_until(lambda: all(map(is_gone, family)), message=lambda: str(family))


@pytest.mark.usefixtures("_own_server")
class TestInTheForeground:
    @pytest.fixture
    def running(self, tmp_path: Path) -> Iterator[list[subprocess.Popen[str]]]:
        started: list[subprocess.Popen[str]] = []
        yield started
        for process in started:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def run(self, tmp_path: Path, grace: float, **programs: str) -> subprocess.Popen[str]:
        arguments = [word for pair in programs.items() for word in pair]
        return subprocess.Popen(
            [sys.executable, "-c", FOREGROUND, str(tmp_path), str(grace), *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, process: subprocess.Popen[str], *words: str) -> str:
        assert process.stdout is not None
        said, missing = "", set(words)
        for line in process.stdout:
            said += line
            missing = {word for word in missing if word not in said}
            if not missing:
                return said
        raise AssertionError(f"never said {missing}:\n{said}")

    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_stops_all_and_is_a_success(self, tmp_path: Path, running: list[subprocess.Popen[str]], signum: signal.Signals) -> None:
        stack = self.run(tmp_path, 10, one=SLEEPER, two=SLEEPER)
        running.append(stack)
        self.read_until(stack, "one    | up", "two    | up")
        family = psutil.Process(stack.pid).children(recursive=True)
        assert len(family) == 5  # the server, and a relay with its program for each of the two
        stack.send_signal(signum)
        assert stack.wait(15) == 0
        assert all(map(is_gone, family))

    def test_nothing_survives_a_sigkill(self, tmp_path: Path, running: list[subprocess.Popen[str]]) -> None:
        stack = self.run(tmp_path, 10, one=SLEEPER, two=SLEEPER)
        running.append(stack)
        self.read_until(stack, "one    | up", "two    | up")
        family = psutil.Process(stack.pid).children(recursive=True)
        stack.kill()
        wait_until(lambda: all(map(is_gone, family)), message=lambda: f"gone: {family}")

    def test_when_one_ends_all_end_and_its_code_is_ours(self, tmp_path: Path, running: list[subprocess.Popen[str]]) -> None:
        stack = self.run(tmp_path, 10, one=SLEEPER, two="import sys; sys.exit(3)")
        running.append(stack)
        self.read_until(stack, "two stopped (rc=3)", "one stopped (rc=-15)")
        assert stack.wait(15) == 3

    def test_one_that_ignores_sigterm_is_killed_after_the_grace(self, tmp_path: Path, running: list[subprocess.Popen[str]]) -> None:
        stack = self.run(tmp_path, 1, one=SLEEPER, stubborn=STUBBORN)
        running.append(stack)
        self.read_until(stack, "one      | up", "stubborn | child")
        family = psutil.Process(stack.pid).children(recursive=True)
        stack.send_signal(signal.SIGTERM)
        self.read_until(stack, "stubborn | no", "sending SIGKILL to stubborn")
        assert stack.wait(15) == 0
        wait_until(lambda: all(map(is_gone, family)), message=lambda: f"gone: {family}")

    def test_a_signal_while_it_starts_is_not_lost(self, tmp_path: Path, running: list[subprocess.Popen[str]]) -> None:
        stack = self.run(tmp_path, 10, **{f"p{n}": SLEEPER for n in range(6)})
        running.append(stack)
        self.read_until(stack, "started (pid=")
        stack.send_signal(signal.SIGTERM)
        assert stack.wait(15) == 0
