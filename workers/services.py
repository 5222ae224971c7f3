"""Which modules hold the handlers of a service: those of its configuration, and those of installed packages.

A package registers its own with an entry point, named as the service:

    [project.entry-points."celery_streams_bridge.handlers"]
    render = "render_worker"
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Final

from streams.bus.services import ServicesSettings, declare
from streams.bus.topology import SERVICES
from streams.errors import SettingsError

ENTRY_POINTS: Final = "celery_streams_bridge.handlers"


def declare_services() -> None:
    """Make the services of `STREAMS_SERVICES` known.

    Raises:
        SettingsError: it can't be read.
    """
    declare(ServicesSettings.load().services)


def handler_modules(service: str) -> tuple[str, ...]:
    """The modules that register the handlers of a service; empty when nobody named any."""
    configured = SERVICES[service].handlers if service in SERVICES else ()
    return tuple(dict.fromkeys((*configured, *(entry.module for entry in entry_points(group=ENTRY_POINTS, name=service)))))


def services_with_handlers() -> list[str]:
    """The services that can be started by their names alone."""
    return sorted({name for name, service in SERVICES.items() if service.handlers} | entry_points(group=ENTRY_POINTS).names)


def import_handlers(modules: Iterable[str]) -> None:
    """Import modules of handlers, which register themselves.

    Raises:
        SettingsError: there is no such module.
    """
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as exc:
            if exc.name is None or not f"{module}.".startswith(f"{exc.name}."):
                raise
            raise SettingsError(
                f"no module {module!r} for handlers: it is named by --import, STREAMS_SERVICES or the entry points {ENTRY_POINTS}; is it on PYTHONPATH?"
            ) from None
