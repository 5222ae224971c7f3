"""The registry: which function runs which command type, in a child process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from streams.settings import Settings
from workers.errors import BadRequest

if TYPE_CHECKING:
    from workers.job import Job

HandlerFunction = Callable[["Job", Any], Any]


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that runs one type of command."""

    command_type: str
    function: HandlerFunction
    params: type[BaseModel] | None
    """The model that the command's `data` is validated with; None passes the dict as it is."""
    settings: type[Settings] | None
    """The settings class whose environment variables the child process may see; no others reach it."""

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
    params: type[BaseModel] | None = None,
    settings: type[Settings] | None = None,
) -> Callable[[HandlerFunction], HandlerFunction]:
    """Register the decorated `function(job, params)` for commands of `type`.

    Its return value is the job's result: JSON-safe, or anything `streams.bus.codec` encodes.
    """

    def register(function: HandlerFunction) -> HandlerFunction:
        HANDLERS[type] = Handler(command_type=type, function=function, params=params, settings=settings)
        return function

    return register
