"""What a connected app holds: its settings, its client of the streams, and how steps are sent."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TypeVar

import redis
from celery import Celery

from bridge import identity
from bridge.celery_internals.backends import states_of
from bridge.settings import BridgeSettings
from bridge.stored_states import StoredStates
from streams.bus.clients import connect as connect_redis
from streams.bus.clients import is_passing
from streams.bus.functions import FunctionCall, call, load_library
from streams.bus.insist import insist
from streams.bus.services import declare
from streams.bus.topology import SERVICES, Keys, Service, service
from streams.errors import FunctionLibraryMissing

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Connection:
    """The management side's access to the streams, for one Celery app."""

    def __init__(self, app: Celery, settings: BridgeSettings | None = None) -> None:
        self.app = app
        self._settings = settings
        self.is_bridge = False
        """Whether this process is a bridge: it refuses a configuration that loses jobs."""
        self.servers_checked = False
        """Whether `bridge.configuration.servers` could ask every server."""

    @classmethod
    def of(cls, app: Celery) -> Connection:
        """The connection that `bridge.connect(app)` made.

        Raises:
            LookupError: the app was never connected.
        """
        try:
            return app.streams_connection  # type: ignore[no-any-return]
        except AttributeError:
            raise LookupError(f"{app!r} is not connected to the streams: app = bridge.connect(Celery(...))") from None

    @cached_property
    def settings(self) -> BridgeSettings:
        """Read from the environment on first use, so that importing an app needs none; the services that they name are known from then on."""
        settings = self._settings or BridgeSettings.load()
        declare(settings.services)
        return settings

    @property
    def services(self) -> tuple[Service, ...]:
        """Every service of the code and of the configuration."""
        _ = self.settings
        return tuple(SERVICES.values())

    def service(self, name: str) -> Service:
        """A service of the code or of the configuration.

        Raises:
            UnknownService: lists the known ones.
        """
        _ = self.settings
        return service(name)

    @property
    def keys(self) -> Keys:
        """Key names of this deployment."""
        return self.settings.keys

    @cached_property
    def client(self) -> redis.Redis:
        """Client of the streams' server; its pool notices a fork by itself."""
        return connect_redis(self.settings.redis_url, name="management")

    def call(self, step: FunctionCall[T], *, patience_seconds: float = 0.0) -> T:
        """Send a step to the streams' server, and load the function library first where it is missing.

        Args:
            step: from `streams.jobs`.
            patience_seconds: how long an unreachable server is waited for.
        """
        return self._call(self.client, step, patience_seconds)

    def _call(self, client: redis.Redis, step: FunctionCall[T], patience_seconds: float = 0.0) -> T:
        try:
            return call(client, step)
        except FunctionLibraryMissing:
            load_library(client)
        except (redis.RedisError, OSError) as exc:
            if patience_seconds <= 0 or not is_passing(exc):
                raise
        return insist(client, step, seconds=patience_seconds)

    def call_patiently(self, step: FunctionCall[T], client: redis.Redis | None = None) -> T:
        """The same, on this server or another one, waiting for it as long as a dispatch may."""
        return self._call(client or self.client, step, self.settings.dispatch_patience_seconds)

    # ------------------------------------------------------------------------------------------------------------------------ states (R2)

    @property
    def states(self) -> StoredStates:
        """The order of the tasks' states, by what kind of result backend the app has."""
        return states_of(type(self.app.backend), self)

    def raise_mark(self, run: identity.CurrentRun, to_rank: int) -> None:
        """Raise the mark of a task before the first effect of a result."""
        self.states.raise_mark(run, to_rank)

    def has_outcome(self, run: identity.CurrentRun) -> bool:
        """Whether a terminal state of this run, or something of a newer one, is stored."""
        return self.states.has_outcome(run)
