"""A warm server as the worker has one: it forks a child for each job it reads from stdin. Run as a script, by the fixture `backtests`.

A line in: {command, id, directory, artifacts, environment, data, cancel_at, cancel_after, soft_limit_at, kill_at}. A line out, once the child is gone. What the job returned or raised is in
`<directory>/outcome.json`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import workers.backtesting.engine
import workers.backtesting.lookahead
import workers.backtesting.recursive
import workers.data.engine
import workers.freqai.engine
import workers.hyperopt.engine  # noqa: F401 - the imports that a fork saves
from workers.artifacts import ArtifactStore
from workers.handlers import HANDLERS
from workers.interrupting import SoftLimitBySignal
from workers.job import Job


def run(spec: dict[str, Any]) -> dict[str, Any]:
    os.environ.update(spec["environment"])
    progress: list[tuple[int, int | None, str]] = []

    def report(current: int, total: int | None, message: str) -> None:
        progress.append((current, total, message))
        if spec["cancel_at"] is not None and current >= spec["cancel_at"]:
            job.cancel("revoked")
        if spec["soft_limit_at"] is not None and current >= spec["soft_limit_at"]:
            job.pass_soft_limit()
        if spec["kill_at"] is not None and current >= spec["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    job = Job(id=spec["id"], type=spec["command"], directory=Path(spec["directory"]), artifacts=ArtifactStore(spec["artifacts"]), _report=report)
    handler = HANDLERS[job.type]
    if spec.get("cancel_after") is not None:
        threading.Timer(spec["cancel_after"], job.cancel, ["revoked"]).start()
    began = time.monotonic()
    try:
        with SoftLimitBySignal(job):
            outcome: dict[str, Any] = {"result": handler.function(job, handler.parse(spec["data"]))}
    except BaseException as exc:  # noqa: BLE001 - whatever it is, the test looks at it
        outcome = {"error": {"type": type(exc).__name__, "message": str(exc), "traceback": traceback.format_exc()}}
    return outcome | {"progress": progress, "seconds": time.monotonic() - began}


def main() -> None:
    channel = os.fdopen(os.dup(1), "w", buffering=1)  # what freqtrade prints must not mix with our lines
    os.dup2(2, 1)
    for line in sys.stdin:
        spec = json.loads(line)
        pid = os.fork()
        if pid == 0:
            outcome = run(spec)
            directory = Path(spec["directory"])
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "outcome.json").write_text(json.dumps(outcome, allow_nan=False))
            os._exit(0)
        os.waitpid(pid, 0)
        channel.write("done\n")


if __name__ == "__main__":
    main()
