"""A task that a Celery worker has (`-I tests.acceptance.only_in_workers`), and a bridge without this module hasn't."""

from __future__ import annotations

from typing import Any

from bridge import StreamTask
from tests.bridged_app import app


@app.task(base=StreamTask, name="lab.only_in_workers", service="lab", command="test.echo")
def only_in_workers(**data: Any) -> dict[str, Any]:
    return data
