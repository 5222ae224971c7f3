"""The stream worker's side: one handler for each function of `work`. `python -m workers fidelity --import tests.fidelity.handlers`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import validate_call

from streams.bus.topology import Service, add_service
from tests.fidelity import work
from tests.fidelity.work import WorkSettings, run_logged
from workers.handlers import handler
from workers.job import Job

add_service(Service.named("fidelity"))

# In the worker's own process: one for each of some thousand jobs would take a minute.
CHEAP = (
    work.echo,
    work.nothing,
    work.add,
    work.total,
    work.keywords,
    work.anything,
    work.fail,
    work.fail_after,
    work.fail_because,
    work.flaky,
    work.flaky_after,
    work.big,
    work.big_error,
    work.order,
    work.one_more,
)
LONG = (work.sleep, work.gate, work.flaky_gate, work.slow_at_first)
"""They hold a process of their own, which can be stopped."""


def _register(function: Callable[..., Any], isolation: Literal["process", "inline"]) -> None:
    # Only pydantic's models need it: what crossed the wire as a dict is one again.
    call = validate_call(function) if function is work.order else function

    @handler(f"fidelity.{function.__name__}", isolation=isolation, settings=WorkSettings)
    def run(job: Job, data: dict[str, Any]) -> Any:
        return run_logged(job.id, call, data["args"], data["kwargs"])


for each in CHEAP:
    _register(each, "inline")
for each in LONG:
    _register(each, "process")
