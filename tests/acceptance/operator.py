"""`celery -A ... streams dead ...`, as an operator types it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.acceptance.stack import Stack


class Operator:
    """Somebody who looks after the dead letters of a stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`streams dead <arguments>`, whatever comes of it."""
        return self.stack.run_celery("streams", "dead", *arguments)

    def does(self, *arguments: str) -> str:
        """What it says; it must say that all was done."""
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def cannot(self, *arguments: str, code: int = 1) -> str:
        """What it says; it must be no success."""
        done = self.run(*arguments)
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def letters(self, *filters: str) -> list[dict[str, Any]]:
        """The dead letters as the list shows them to programs."""
        return [json.loads(line) for line in self.does("list", "--json", *filters).splitlines()]

    def letter_of(self, task_id: str) -> str:
        """Id of the newest dead letter of a task, without asking a process."""
        rows: Any = self.stack.redis.xrange(self.stack.lab.dead_letters)
        return [str(entry) for entry, fields in rows if fields.get("task_id") == task_id][-1]
