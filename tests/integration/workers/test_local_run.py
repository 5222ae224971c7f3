"""`python -m workers run`: one job without Redis."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_until
from workers.local_run import local_request

CODE = """
import sys
from pathlib import Path
from workers.local_run import run_locally
sys.exit(run_locally(sys.argv[1], sys.stdin.read(), imports=("tests.handlers",), jobs_dir=Path(sys.argv[2]) / "jobs", artifacts_url=sys.argv[2]))
"""


def run(folder: Path, type_: str, text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", CODE, type_, str(folder)], input=text, capture_output=True, text=True, check=False, timeout=60)


def test_the_result_is_alone_on_stdout(tmp_path: Path) -> None:
    done = run(tmp_path, "test.noise", "{}")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"result": "this one"})


def test_progress_goes_to_stderr(tmp_path: Path) -> None:
    done = run(tmp_path, "test.sleep", '{"seconds": 0.2, "steps": 2}')
    assert done.returncode == 0, done.stderr
    assert "2/2 sleeping" in done.stderr.splitlines()


@pytest.mark.parametrize(
    "command",
    [
        {"a": 1},
        {"type": "test.echo", "task_id": "t", "data": {"a": 1}, "attempt": 2},
        {"type": "test.echo", "schema": "1", "task_id": "t", "data": '{"a": 1}', "attempt": "2", "created_at": "2026-01-01T00:00:00+00:00"},
    ],
)
def test_a_whole_command_or_its_data_is_taken(tmp_path: Path, command: dict[str, object]) -> None:
    request = local_request("test.echo", json.dumps(command), jobs_dir=tmp_path, artifacts_url="x")
    assert request.data == {"a": 1}
    assert ("task_id" in command) == (request.id == "t")


@pytest.mark.parametrize(
    ("type_", "text", "code", "says"),
    [
        ("test.echo", "{", 2, "not JSON"),
        ("test.echo", "[1]", 2, "expected a JSON object"),
        ("test.echo", '{"type": "test.fail", "data": {}}', 2, "is of type 'test.fail'"),
        ("test.nope", "{}", 2, "no handler"),
        ("test.sleep", '{"typo": 1}', 2, "typo: Extra inputs"),
        ("test.fail", '{"message": "no luck"}', 1, "HandlerError: no luck"),
        ("test.crash", '{"exit": 3, "message": "last words"}', 1, "exit status 3; its last output:\nlast words"),
    ],
)
def test_failures_have_an_exit_code_and_say_why(tmp_path: Path, type_: str, text: str, code: int, says: str) -> None:
    done = run(tmp_path, type_, text)
    assert (code, "") == (done.returncode, done.stdout), done.stderr
    assert says in done.stderr


def test_ctrl_c_cancels_the_job(tmp_path: Path) -> None:
    command = json.dumps({"task_id": "job", "type": "test.sleep", "data": {"seconds": 60}})
    with subprocess.Popen(
        [sys.executable, "-c", CODE, "test.sleep", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ.copy(),
    ) as process:
        assert process.stdin is not None
        process.stdin.write(command)
        process.stdin.close()
        wait_until((tmp_path / "jobs/job/job.log").exists)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "cancelled: interrupted" in process.stderr.read()
    assert process.returncode == 130
