"""Services by configuration only: `STREAMS_SERVICES`, the same on both sides.

STREAMS_SERVICES='{"render": {"handlers": ["render_worker"], "lanes": ["urgent", "normal"]}}'
STREAMS_SERVICES=@services.toml        # or .json: a table for each service
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from pydantic_settings import NoDecode

from streams.bus.tables import read_tables
from streams.bus.topology import SERVICES, Service
from streams.settings import Settings

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]
"""Part of a stream's name, which colons divide."""
Module = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]


class ServiceSpec(BaseModel):
    """What can be said of a service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    handlers: tuple[Module, ...] = ()
    """Modules that register its handlers; only its workers import them."""
    lanes: tuple[Name, ...] = ()
    """The most urgent first; the last is the default. They come in the place of those that the service has by itself."""
    reap_after_seconds: float | None = Field(default=None, gt=0)
    """For workers that don't claim what a dead one left, see `Service`."""

    @field_validator("lanes")
    @classmethod
    def _differ(cls, lanes: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(lanes)) < len(lanes):
            raise ValueError("two lanes have the same name")
        return lanes


class ServicesSettings(Settings):
    """The services that the environment adds, or says more of."""

    services: Annotated[dict[Name, ServiceSpec], NoDecode] = Field(default_factory=dict, validation_alias="STREAMS_SERVICES")
    """JSON, or `@` and the path of a .toml or .json file."""

    @field_validator("services", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return read_tables(value)


def declare(services: Mapping[str, ServiceSpec]) -> None:
    """Make configured services known; what they say counts before what the code said of a service of that name. Idempotent."""
    for name, spec in services.items():
        known = SERVICES.get(name) or Service.named(name)
        SERVICES[name] = replace(
            known,
            handlers=spec.handlers or known.handlers,
            lanes=spec.lanes or known.lanes,
            reap_after_seconds=spec.reap_after_seconds or known.reap_after_seconds,
        )
