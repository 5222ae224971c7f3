"""How much a stream may hold: `configure_stream_limits()` in code, `STREAMS_LIMITS` in the environment, the same on both sides.

STREAMS_LIMITS='{"backtesting": {"max_backlog": 5000, "keep_hours": 24}, "*": {"cap": 20000}}'
STREAMS_LIMITS=@limits.toml            # or .json: a table for each name

A name is a stream's (`mgmt:backtesting:commands:urgent`), a service's (all of its streams), or `*`. What is said of a stream counts before what is said of its
service, and that before `*`; of the same name the environment counts before the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import NoDecode

from streams.bus.tables import read_tables
from streams.bus.topology import Service
from streams.settings import Settings

EVERYTHING: Final = "*"


class StreamLimits(BaseModel):
    """The limits of a stream; None says nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_backlog: int | None = Field(default=None, ge=1)
    """Command streams: commands that no worker has taken up, delayed ones of the service included. At that many a dispatch is refused: `BacklogFull`."""
    keep_hours: float | None = Field(default=None, ge=0)
    """Command and result streams: what every group is done with is kept until it is that old. None and no `keep_entries`: it isn't kept."""
    keep_entries: int | None = Field(default=None, ge=0, le=10_000)
    """Command and result streams: of what every group is done with, the newest so many are kept, and no more."""
    cap: int | None = Field(default=None, ge=100)
    """Status and event streams: their length, about. They may lose what nobody has read."""

    def over(self, other: StreamLimits) -> StreamLimits:
        """These, and where they say nothing those of `other`."""
        return other.model_copy(update=self.model_dump(exclude_none=True))


DEFAULTS: Final = StreamLimits(max_backlog=100_000, cap=10_000)
_in_code: dict[str, StreamLimits] = {}
_memory_in_code: list[float] = []


def configure_stream_limits(limits: Mapping[str, StreamLimits | Mapping[str, Any]], *, memory_mib: float | None = None) -> None:
    """Set limits in code, at import; of the same name the later call counts, and the environment before both.

    Args:
        limits: by the name of a stream or of a service, or `*`.
        memory_mib: budget of all streams together (MiB); None leaves it as it is.

    Raises:
        ValidationError: a limit is unknown or out of range.
    """
    _in_code.update({name: StreamLimits.model_validate(given) for name, given in limits.items()})
    if memory_mib is not None:
        _memory_in_code[:] = [memory_mib]


class LimitsSettings(Settings):
    """The limits that the environment sets."""

    stream_limits: Annotated[dict[str, StreamLimits], NoDecode] = Field(default_factory=dict, validation_alias="STREAMS_LIMITS")
    """JSON, or `@` and the path of a .toml or .json file."""

    memory_mib: float | None = Field(default=None, validation_alias="STREAMS_MEMORY_MIB", gt=0)
    """Memory budget (MiB) of all streams together; above it nothing is dispatched. None is no limit."""

    @field_validator("stream_limits", mode="before")
    @classmethod
    def _read_limits(cls, value: Any) -> Any:
        return read_tables(value)

    def limits_of(self, stream: str, service: Service | None = None) -> StreamLimits:
        """What counts for a stream.

        Args:
            stream: its logical name, without prefix.
            service: whose stream it is, if one's.
        """
        found = DEFAULTS
        for name in (EVERYTHING, service.name if service else EVERYTHING, stream):
            for given in (_in_code, self.stream_limits):
                if name in given:
                    found = given[name].over(found)
        return found

    def limited_names(self) -> set[str]:
        """Every name that limits are set for."""
        return {*_in_code, *self.stream_limits}

    @property
    def memory_budget_bytes(self) -> int | None:
        """Of all streams together; None is no limit."""
        mib = self.memory_mib or next(iter(_memory_in_code), None)
        return None if mib is None else int(mib * 2**20)
