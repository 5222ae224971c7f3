"""Tasks of the service `lab` whose handlers misbehave in ways that may not keep a result from being resolved; see test_careless_handlers.py.

`celery -A tests.acceptance.careless worker|bridge`
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from bridge import StreamTask
from tests.bridged_app import _payload, app, echo


def _note(task_id: str, what: object) -> None:
    with Path(os.environ["TEST_RUN_LOG"]).with_name("handlers").open("a") as file:
        file.write(f"{task_id} {what}\n")


class _Mails(StreamTask):
    abstract = True

    def on_failure(self, _exc: Any, task_id: str, _args: Any, _kwargs: Any, _einfo: Any) -> None:
        _note(task_id, "on_failure")
        raise ConnectionRefusedError("no mail server")


class _Caches(StreamTask):
    abstract = True

    def before_start(self, task_id: str, _args: Any, _kwargs: Any) -> None:
        _note(task_id, "before_start")
        raise ConnectionRefusedError("no cache")


class _Quits(StreamTask):
    abstract = True

    def on_success(self, _retval: Any, task_id: str, _args: Any, _kwargs: Any) -> None:
        _note(task_id, "on_success")
        sys.exit(3)


class _QuitsEarly(StreamTask):
    abstract = True

    def before_start(self, task_id: str, _args: Any, _kwargs: Any) -> None:
        _note(task_id, "before_start")
        sys.exit(3)


class _RunsAnother(StreamTask):
    abstract = True

    def on_success(self, _retval: Any, task_id: str, _args: Any, _kwargs: Any) -> None:
        _note(task_id, echo.apply(kwargs={"another": 1}).result)


def _careless(name: str, base: type[StreamTask], command: str = "test.echo") -> None:
    app.task(base=base, name=f"lab.{name}", service="lab", command=command)(_payload)


_careless("mails", _Mails, "test.fail")
_careless("caches", _Caches)
_careless("quits", _Quits)
_careless("quits_early", _QuitsEarly)
_careless("runs_another", _RunsAnother)
_careless("raises", StreamTask, "test.raises")
