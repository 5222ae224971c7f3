"""Telling people what goes wrong (NOTIFY_URLS): grouped, at most one message in NOTIFY_EVERY_SECONDS, off by default.

A notice goes into a bounded queue, and a thread of its own sends: whoever has something to tell never waits, and what there is no room for is counted. The
URLs hold secrets; they go to apprise and nowhere else.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import re
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from celery import signals

from bridge.connection import Connection
from bridge.errors import DeadLettered, PoisonCommand, RemoteError, UncertainOutcome
from bridge.notifications.notices import Message, Notice, group
from bridge.notifications.watching import VerdictWatch
from bridge.settings import Occasion

logger = logging.getLogger(__name__)

ROOM: Final = 1_000
TRIES: Final = 3
"""Messages that can't be sent are sent again with the next one, and dropped after so many tries."""
GATHER_SECONDS: Final = 0.5
"""Things go wrong together: so long a first notice waits for others."""
FAREWELL_SECONDS: Final = 5.0
_BETWEEN_URLS: Final = re.compile(r"[\s,]+(?=[A-Za-z][\w+.-]*://)")
"""A comma within a URL is a part of it."""
_STOP: Final = object()

_notifier: Notifier | None = None
_watch: VerdictWatch | None = None
_occasions: set[Occasion] = set()


class Notifier:
    """The queue and its thread."""

    def __init__(self, send: Callable[[Message], bool], *, every_seconds: float, deployment: str = "", count: Callable[[str, int], None]) -> None:
        """Start the thread.

        Args:
            send: a message; whether it was sent.
            every_seconds: at most one message in that time.
            deployment: as messages name it.
            count: is told how many notices were `told` or `dropped`.
        """
        self._send, self._every, self._deployment, self._count = send, every_seconds, deployment, count
        self._queue: queue.Queue[Any] = queue.Queue(ROOM)
        self._stopping = threading.Event()
        self._dropped, self._lock = 0, threading.Lock()
        self._thread = threading.Thread(target=self._work, name="notifier", daemon=True)
        self._thread.start()

    def tell(self, notice: Notice) -> None:
        """Never waits."""
        try:
            self._queue.put_nowait(notice)
        except queue.Full:
            self._drop(1)

    def stop(self) -> None:
        """Send what there is, if that is quickly done."""
        self._stopping.set()
        with contextlib.suppress(queue.Full):  # then the thread is at work, and looks whether it should stop
            self._queue.put_nowait(_STOP)
        self._thread.join(FAREWELL_SECONDS)

    def _drop(self, number: int) -> None:
        if number:
            with self._lock:
                self._dropped += number
            self._count("dropped", number)

    def _work(self) -> None:
        tries = 0
        kept: list[Notice] = []
        while True:
            if not kept:
                first = self._queue.get()
                if first is not _STOP:
                    kept.append(first)
                    self._stopping.wait(min(GATHER_SECONDS, self._every))
            kept += self._waiting(ROOM - len(kept))
            if kept:
                with self._lock:
                    dropped, self._dropped = self._dropped, 0
                tries += 1
                if self._sent(group(kept, deployment=self._deployment, dropped=dropped)):
                    self._count("told", len(kept))
                    kept, tries = [], 0
                else:
                    with self._lock:
                        self._dropped += dropped
                    if tries >= TRIES:
                        self._drop(len(kept))
                        kept, tries = [], 0
            if self._stopping.is_set() and (kept or self._queue.empty()):  # what came while a message was being sent goes out too
                self._drop(len(kept) + len(self._waiting(ROOM)))
                return
            self._stopping.wait(self._every)

    def _waiting(self, most: int) -> list[Notice]:
        found: list[Notice] = []
        while len(found) < most:
            try:
                notice = self._queue.get_nowait()
            except queue.Empty:
                break
            if notice is not _STOP:
                found.append(notice)
        return found

    def _sent(self, message: Message) -> bool:
        try:
            return self._send(message)
        except Exception as exc:  # noqa: BLE001 - a plugin of apprise may raise anything; its text may hold the URL
            logger.warning("a notice can't be sent: %s", type(exc).__name__)
            return False


# ------------------------------------------------------------------------------------------------------------------------------- of this process


def start(connection: Connection, notices: Any) -> None:
    """Of a bridge: tell people from now on, if NOTIFY_URLS is set.

    Args:
        connection: of the app.
        notices: the counter of what was told, by `what`.
    """
    global _notifier, _watch  # noqa: PLW0603 - a process is one bridge
    settings = connection.settings
    send = _sender(settings.notify_urls.get_secret_value())
    if send is None:
        return
    _notifier = Notifier(
        send,
        every_seconds=settings.notify_every_seconds,
        deployment=settings.streams_prefix.strip("{}:"),
        count=lambda what, number: notices.labels(what).inc(number),
    )
    if Occasion.FAILED in settings.notify_on:
        signals.task_failure.connect(_failed, dispatch_uid="bridge.notifying.failed", weak=False)
    _occasions.clear()
    _occasions.update(settings.notify_on)
    if _occasions & {Occasion.CRITICAL, Occasion.RECOVERED}:
        _watch = VerdictWatch(connection, tell, every_seconds=settings.notify_look_seconds)


def stop() -> None:
    """Tell what there is, and no more."""
    global _notifier, _watch  # noqa: PLW0603
    signals.task_failure.disconnect(dispatch_uid="bridge.notifying.failed")
    if _watch is not None:
        _watch.stop()
    if _notifier is not None:
        _notifier.stop()
    _notifier = _watch = None


def tell(notice: Notice) -> None:
    """Tell people, if they are to be told of such things. Never waits, never fails."""
    if _notifier is not None and notice.occasion in _occasions:
        _notifier.tell(notice)


def tell_failed(task_name: str, task_id: str, error: BaseException) -> None:
    """A task became FAILURE. A dead letter is told of by itself."""
    if isinstance(error, DeadLettered | PoisonCommand | UncertainOutcome):
        return
    kind, text = (error.type, error.message) if isinstance(error, RemoteError) else (type(error).__name__, str(error))
    tell(Notice(Occasion.FAILED, f"{task_name}: {kind}", f"{task_id}: {text}"))


def tell_dead_letter(service_name: str, task_id: str, reason: str, error: str) -> None:
    """A job's command became a dead letter."""
    tell(Notice(Occasion.DEAD_LETTERED, f"{service_name}: {reason}", f"{task_id}: {error}"))


def _failed(sender: Any = None, task_id: str = "", exception: BaseException | None = None, **_: Any) -> None:
    if exception is not None:
        tell_failed(str(getattr(sender, "name", sender)), task_id, exception)


def _sender(urls: str) -> Callable[[Message], bool] | None:
    """How messages go out; None when nobody is to be told, or can be."""
    wanted = _BETWEEN_URLS.split(urls.strip(" \t\r\n,"))
    if not wanted[0]:
        return None
    try:
        import apprise
    except ImportError:
        logger.error("NOTIFY_URLS is set, and apprise isn't installed: nobody is told. pip install 'celery-streams-bridge[notify]'")  # noqa: TRY400
        return None
    for name in ("apprise", "urllib3.connectionpool"):  # they log URLs, or the part of them that is a token
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    notify = apprise.Apprise()
    for number, url in enumerate(wanted, 1):
        if not notify.add(url):
            logger.error("NOTIFY_URLS: apprise can't use URL number %d (%s://...): see its list of services", number, url.partition("://")[0][:20])
    if not len(notify):
        return None
    logger.info("notices go to %d of the %d NOTIFY_URLS", len(notify), len(wanted))

    def send(message: Message) -> bool:
        started = time.monotonic()
        sent = bool(notify.notify(title=message.title, body=message.body))
        if not sent:
            logger.warning("a notice can't be sent to each of the NOTIFY_URLS (%.1f s): %s", time.monotonic() - started, message.title)
        return sent

    return send
