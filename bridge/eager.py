"""A bridged task that is called directly, by `apply()` or under `task_always_eager`: its job runs on this machine, in a child process, without Redis."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from celery import Task
from pydantic import BaseModel

from bridge import outcome, remote_errors
from bridge.connection import Connection
from bridge.errors import EagerUnavailable
from streams.bus.codec import encode_json
from streams.jobs.messages import Result

NEEDED = ("workers", "fsspec", "psutil")
EXIT_BAD_CALL = 2


def run_here(task: Task, payload: Any) -> Any:
    """The job's result.

    Raises:
        EagerUnavailable: the workers' packages, or the handler, aren't installed here.
        Exception: the job's own error, as from `.get()`.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise EagerUnavailable(
            f"{task.name} was called directly or eagerly, so its job has to run here, and {', '.join(missing)} is missing: "
            "pip install 'celery-streams-bridge[workers]'; or send it with .delay() and let a stream worker run it"
        )
    data = payload.model_dump(mode="json") if isinstance(payload, BaseModel) else payload
    if not isinstance(data, dict):  # what a worker makes of it
        data = {"value": data}
    command = {"schema": "1", "type": task.command, "task_id": task.request.id, "data": data}
    command = {name: value for name, value in command.items() if value is not None}
    imports = [part for module in Connection.of(task.app).service(task.service).handlers for part in ("--import", module)]
    call = [sys.executable, "-m", "workers", "run", task.command, "--service", task.service, *imports, "--as-message"]
    done = subprocess.run(call, input=encode_json(command), stdout=subprocess.PIPE, check=False)
    if done.returncode == EXIT_BAD_CALL or not done.stdout:
        raise EagerUnavailable(
            f"{task.name} was called directly or eagerly, and its job can't run here: `{' '.join(call[1:])}` ended with status {done.returncode}; "
            f"what it said is on stderr. Install what runs its jobs ('celery-streams-bridge[{task.service}]'), or name the module of its handlers: "
            f"Service.named('{task.service}', handlers=('module',)), or STREAMS_SERVICES"
        )
    result = Result.from_redis_dict(json.loads(done.stdout))
    return outcome.of_result(result, remote_errors.classes_named_by(task))()
