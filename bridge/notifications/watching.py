"""The verdict, watched by each bridge; one of several tells when it becomes critical, and when it isn't any more."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Final

import redis

from bridge.connection import Connection
from bridge.notifications.notices import Notice
from bridge.settings import Occasion
from streams.bus.clients import CONNECTION_ERRORS
from streams.health import Level, Thresholds, Verdict, check_stream_health

logger = logging.getLogger(__name__)

AGREE: Final = 2
"""So many looks in a row: what is over at once is no news."""
TOLD_AGAIN_SECONDS: Final = 86_400
"""What stays critical is told again after a day."""


class VerdictWatch:
    """A thread that looks now and then."""

    def __init__(self, connection: Connection, tell: Callable[[Notice], None], *, every_seconds: float, thresholds: Thresholds | None = None) -> None:
        """Start looking; a bad threshold is an error here."""
        self._connection, self._tell, self._every = connection, tell, every_seconds
        self._thresholds = thresholds or Thresholds.load()
        self._stopping = threading.Event()
        self._in_a_row, self._was_critical = 0, False
        self._failed, self._told_away = 0, False
        self._thread = threading.Thread(target=self._work, name="verdict-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join(1.0)

    def _work(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                self._look()
            except (*CONNECTION_ERRORS, redis.RedisError) as exc:
                self._server_is_away(exc)
            except Exception:
                logger.exception("the verdict can't be looked at; it is tried again")

    def _look(self) -> None:
        verdict = check_stream_health(self._connection, self._thresholds).verdict
        self._server_is_back()
        critical = verdict.level is Level.CRITICAL
        self._in_a_row = self._in_a_row + 1 if critical == self._was_critical else 1
        self._was_critical = critical
        if self._in_a_row >= AGREE:
            self._told(verdict)

    def _told(self, verdict: Verdict) -> None:
        """The key is there while people know of a critical verdict: who makes it or takes it away tells them."""
        client, key = self._connection.client, self._connection.keys.told_critical
        if verdict.level is Level.CRITICAL:
            if client.set(key, "1", nx=True, ex=TOLD_AGAIN_SECONDS):
                for reason in verdict.reasons:
                    if reason.level is Level.CRITICAL:
                        self._tell(Notice(Occasion.CRITICAL, f"{reason.kind}: {reason.where}", f"{reason.what}. Type: {reason.to_type}"))
        elif client.delete(key):
            self._tell(Notice(Occasion.RECOVERED, "the streams", f"the verdict is {verdict.level.word} again"))

    def _server_is_away(self, exc: Exception) -> None:
        """Each bridge tells this by itself: there is no server on which they could agree."""
        self._failed += 1
        if self._failed == AGREE:
            self._told_away = True
            self._tell(Notice(Occasion.CRITICAL, "the streams' server", f"it can't be asked: {type(exc).__name__}. Start it, or set REDIS_URL"))

    def _server_is_back(self) -> None:
        if self._told_away:
            self._tell(Notice(Occasion.RECOVERED, "the streams' server", "it answers again"))
        self._failed, self._told_away = 0, False
