"""The demo's bars: what they show of a job is from one moment."""

from __future__ import annotations

from typing import Any

import pytest
from celery import Celery
from celery.backends.redis import RedisBackend
from rich.progress import Progress

from examples.demo.watching import Line, _show
from streams.embedded import Server

TASK = "0a3f"
HALF_WAY = {"current": 41, "total": 100, "message": "backtest 5201/17280", "worker": "backtesting@host"}


class EndsAfterARead(RedisBackend):
    """Between two reads of it, its job ends: the worst moment that there is."""

    end: tuple[Any, str] | None = None

    def get_task_meta(self, task_id: str, cache: bool = True) -> dict[str, Any]:
        meta: dict[str, Any] = super().get_task_meta(task_id, cache)
        if self.end is not None:
            self.store_result(task_id, *self.end)
            self.end = None
        return meta


@pytest.mark.parametrize(
    ("end", "outcome", "error", "stage"),
    [
        (({"profit_total": -0.03}, "SUCCESS"), {"profit_total": -0.03}, "", "done"),
        ((ValueError("no candles"), "FAILURE"), {}, "no candles", "failed"),
    ],
)
def test_a_job_that_ends_while_it_is_looked_at(
    server: Server, prefix: str, end: tuple[Any, str], outcome: dict[str, Any], error: str, stage: str
) -> None:
    with Celery("demo", broker="memory://", backend=server.celery_url(), set_as_current=False) as app:
        app.conf.result_backend_transport_options = {"global_keyprefix": prefix}
        backend = EndsAfterARead(app=app, url=server.celery_url().removeprefix("redis+"))  # as Celery itself does
        backend.store_result(TASK, HALF_WAY, "PROGRESS")
        backend.end = end
        line, progress = Line("EmaCross 5m", app.AsyncResult(TASK, backend=backend)), Progress(disable=True)
        assert line.result is not None
        bar = progress.add_task(line.label, total=100, stage="sent", worker="")

        assert not _show(progress, bar, line, line.result)
        assert (41, "backtest 5201/17280") == (progress.tasks[0].completed, progress.tasks[0].fields["stage"])
        assert _show(progress, bar, line, line.result)
        assert (outcome, error, stage) == (line.outcome, line.error, progress.tasks[0].fields["stage"])
        line.result.backend = None
