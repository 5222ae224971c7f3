"""Sent jobs on the terminal: a live bar for each until all are done."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from tasks.local_stack import LocalStack

if TYPE_CHECKING:
    from celery.result import AsyncResult

POLL_SECONDS = 0.1
WIDE = 96
"""Columns from which there is room for all."""
WHEN_DONE = {"SUCCESS": "done", "FAILURE": "failed", "REVOKED": "cancelled"}


@dataclass(slots=True)
class Line:
    """One job, as the demo shows it."""

    label: str
    result: AsyncResult | None = None
    outcome: dict[str, Any] = field(default_factory=dict)
    error: str = ""


class Stage(ProgressColumn):
    """The job's state and stage."""

    def render(self, task: Task) -> Text:
        """As one cell."""
        return Text(f"{task.fields['stage']:<21.21}", "cyan")


class Worker(ProgressColumn):
    """On which worker."""

    def render(self, task: Task) -> Text:
        """As one cell."""
        return Text(str(task.fields["worker"]), "dim")


def watch(console: Console, stack: LocalStack, lines: Sequence[Line]) -> None:
    """A live bar per job until all are done."""
    columns: list[ProgressColumn] = [TextColumn("{task.description}"), BarColumn(bar_width=12), TaskProgressColumn(), Stage()]
    columns += [*([Worker()] if console.width >= WIDE else []), TimeElapsedColumn()]
    with Progress(*columns, console=console) as progress:
        bars = [progress.add_task(line.label, total=100, stage="sent", worker="") for line in lines]
        open_ones = dict(zip(bars, lines, strict=True))
        while open_ones:
            stack.check()
            for bar, line in list(open_ones.items()):
                if line.result is not None and _show(progress, bar, line, line.result):
                    del open_ones[bar]
            time.sleep(POLL_SECONDS)


def call_off(console: Console, lines: Sequence[Line]) -> None:
    """Ctrl-C: what isn't done is cancelled, so that the next demo doesn't find it waiting."""
    from bridge.connection import Connection
    from streams.jobs.cancelling import cancel_task
    from tasks import app

    connection = Connection.of(app)
    open_ones = [line.result for line in lines if line.result is not None and not line.outcome and not line.error]
    console.print(f"\nstopping; cancelled: {len(open_ones)} of {len(lines)}")
    for result in open_ones:
        cancel_task(connection.client, connection.keys, result.id)


def let_go(lines: Sequence[Line]) -> None:
    """A Celery result gives back its subscription when it is collected; the demo's server is gone before the last of them, some of which a canvas keeps."""
    from celery.result import AsyncResult

    for line in lines:
        line.result = None
    for kept in [each for each in gc.get_objects() if isinstance(each, AsyncResult)]:
        kept.backend = None


def _show(progress: Progress, bar: Any, line: Line, result: AsyncResult) -> bool:
    """Bring a bar up to date; True when the job is done."""
    # One read: between result.state and result.info a job may end, and the one wouldn't fit the other.
    meta = result.backend.get_task_meta(result.id)
    state, info = meta["status"], meta["result"]
    if state in WHEN_DONE:
        if state == "SUCCESS":
            line.outcome = info
            progress.update(bar, completed=100, total=100)
        else:
            line.error = str(info)
        progress.update(bar, stage=WHEN_DONE[state])
        progress.stop_task(bar)
        return True
    if state == "PROGRESS":
        progress.update(bar, completed=info["current"], total=info["total"] or 100, stage=info["message"], worker=info["worker"])
    elif state == "STARTED":
        progress.update(bar, stage="started", worker=info["hostname"])
    else:
        progress.update(bar, stage=state.lower())
    return False
