"""Base classes of the tasks under test, as mixins: each is put before Celery's `Task`, and before `StreamTask`."""

from __future__ import annotations

from typing import Any

from tests.fidelity.recording import Recorded, record

ASKED = (
    "id",
    "retries",
    "parent_id",
    "root_id",
    "correlation_id",
    "group",
    "args",
    "kwargs",
    "is_eager",
    "called_directly",
    "timelimit",
    "tenant",
    "shadow",
)


class Curious(Recorded):
    """Its handlers look at the request."""

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        super().before_start(task_id, args, kwargs)
        self._ask("before_start")

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        super().on_success(retval, task_id, args, kwargs)
        self._ask("on_success")

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        super().on_failure(exc, task_id, args, kwargs, einfo)
        self._ask("on_failure")

    def on_retry(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        super().on_retry(exc, task_id, args, kwargs, einfo)
        self._ask("on_retry")

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        super().after_return(status, retval, task_id, args, kwargs, einfo)
        self._ask("after_return")

    def _ask(self, when: str) -> None:
        request = self.request
        told = {name: request.get(name) for name in ASKED} | {"priority": (request.delivery_info or {}).get("priority")}
        record("asked", request.id, attempt=request, when=when, request=told)


class Clumsy(Recorded):
    """Its handlers raise."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        super().on_success(retval, task_id, args, kwargs)
        raise RuntimeError("clumsy on_success")

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        super().on_failure(exc, task_id, args, kwargs, einfo)
        raise RuntimeError("clumsy on_failure")


class Stumbling(Recorded):
    """It doesn't get as far as its body."""

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        super().before_start(task_id, args, kwargs)
        raise RuntimeError("stumbled")


class Sending(Recorded):
    """A handler sends a task."""

    app: Any

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        super().on_success(retval, task_id, args, kwargs)
        self.app.tasks["common.echo"].delay(retval)


class Called(Recorded):
    """With a `__call__` of its own around the body."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        record("called", self.request.id, attempt=self.request, args=args)
        return super().__call__(*args, **kwargs)  # type: ignore[misc]


class Plain:
    """Without handlers: Celery takes a shorter way then."""
