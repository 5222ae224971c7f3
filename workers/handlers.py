"""The registry: which function runs which command type, with which parameters, and where."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from streams.settings import Settings
from workers.errors import BadRequest

if TYPE_CHECKING:
    from workers.job import Job

HandlerFunction = Callable[["Job", Any], Any]
F = TypeVar("F", bound=Callable[..., Any])


class Isolation(StrEnum):
    """Where a job runs."""

    PROCESS = "process"
    """A child process of its own, with a scrubbed environment; it can be killed, and its memory is limited."""
    THREAD = "thread"
    """A thread of the worker. It can't be killed: when it doesn't end although it was asked to, it is left behind, and a warning is logged."""
    INLINE = "inline"
    """The worker's own event loop: for an `async def` handler that mostly waits. A plain function there must be short, as nothing else runs meanwhile."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that runs one type of command."""

    command_type: str
    function: HandlerFunction
    params: type[BaseModel] | None
    """The model that the command's `data` is validated with; None passes the dict as it is."""
    settings: type[Settings] | None
    """The settings class whose environment variables the child process may see; no others reach it."""
    isolation: Isolation

    @property
    def is_async(self) -> bool:
        """Whether calling it gives a coroutine, also through decorators that name what they wrap."""
        return inspect.iscoroutinefunction(inspect.unwrap(self.function))

    def parse(self, data: dict[str, Any]) -> Any:
        """Validate a command's data.

        Raises:
            BadRequest: names each wrong key; values are never echoed, they may be secrets.
        """
        if self.params is None:
            return data
        try:
            return self.params.model_validate(data)
        except ValidationError as exc:
            lines = [f"{'.'.join(map(str, error['loc'])) or 'data'}: {error['msg']}" for error in exc.errors(include_input=False)]
            raise BadRequest(f"{self.command_type}: bad data:\n  " + "\n  ".join(lines)) from None


HANDLERS: dict[str, Handler] = {}


def handler(
    type: str,  # noqa: A002 - the field's name on the wire
    *,
    isolation: Literal["process", "thread", "inline"] = "process",
    settings: type[Settings] | None = None,
) -> Callable[[F], F]:
    """Register the decorated `function(job, params)` for commands of `type`; it may be `async def`.

    A pydantic model as the annotation of the second parameter validates the command's data; any other annotation leaves it the dict that it is.
    The return value is the job's result: JSON-safe, or anything `streams.bus.codec` encodes.

    Args:
        type: of the commands, such as `render.run`.
        isolation: where it runs. `process`: a child process, which can be killed, has a memory limit, and sees no secret of the worker. `thread`:
            a thread of the worker; stopping it depends on `job.checkpoint()`, and when it doesn't look the job is over for its caller (REVOKED, or
            FAILURE with `TimeLimitExceeded`) while the thread runs on, with a warning in the worker's log. `inline`: the worker's event loop, for
            `async def`; a plain function must be short there, as leases aren't renewed meanwhile. The last two see all of the worker's environment.
        settings: its environment variables reach the child process; no others of yours do.

    Raises:
        TypeError: the function doesn't take `(job, params)`, or the annotation names what isn't imported at run time.
        ValueError: no such isolation.
    """

    def register(function: F) -> F:
        HANDLERS[type] = Handler(type, function, _params_model(function), settings, Isolation(isolation))
        return function

    return register


def _params_model(function: Callable[..., Any]) -> type[BaseModel] | None:
    """The pydantic model that the second parameter is annotated with, if it is one."""
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) != 2:
        raise TypeError(f"{function.__qualname__} is no handler: it takes (job, params), not {len(parameters)} parameters")
    annotation = parameters[1].annotation
    if isinstance(annotation, str):  # from __future__ import annotations; only this one is evaluated, as Job may be imported for type checkers alone
        try:
            annotation = eval(annotation, inspect.unwrap(function).__globals__)  # noqa: S307 - the author's own annotation
        except NameError as exc:
            raise TypeError(
                f"{function.__qualname__}: the annotation of {parameters[1].name!r}, {annotation}, isn't known at run time ({exc}): "
                "import it outside of `if TYPE_CHECKING`, and define a model at the module's level"
            ) from None
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
