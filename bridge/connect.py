"""`connect(app)` turns any Celery app into a bridged one."""

from __future__ import annotations

from typing import Any, Final

from celery import Celery, current_task, signals

from bridge import identity
from bridge.celery_internals.backends import fence_backend
from bridge.configuration.checks import CHORD_UNLOCK, EX_CONFIG, check_configuration, log_findings
from bridge.connection import Connection
from bridge.settings import BridgeSettings

_SENT_HERE: Final = "bridge_chord"


def connect(app: Celery, settings: BridgeSettings | None = None) -> Celery:
    """Connect a Celery app to the streams; returns the same app.

    Its tasks with `base=StreamTask` run on stream workers; its other tasks are untouched. Nothing is opened or read before first use.

    Args:
        app: the application; see docs/brokers-and-backends.md for which brokers and result backends will do.
        settings: by default read from the environment on first use.
    """
    app.streams_connection = Connection(app, settings)
    fence_backend(app, app.streams_connection)
    # Also in producers that only send: the id belongs to the message from its first sending on.
    signals.before_task_publish.connect(_stamp, dispatch_uid="bridge.identity.stamp", weak=False)
    signals.celeryd_after_setup.connect(_check, dispatch_uid="bridge.configuration.check", weak=False)
    return app


def _stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        identity.stamp(headers, _unlocked_chord())


def _unlocked_chord() -> identity.Chord | None:
    """Where the result backend doesn't count a chord's parts, a task of Celery's sends the body. Delivered again, it sends the same ids again."""
    if getattr(current_task, "name", None) != CHORD_UNLOCK:
        return None
    request = current_task.request
    if not hasattr(request, _SENT_HERE):
        setattr(request, _SENT_HERE, identity.Chord(str(request.args[0])))
    chord: identity.Chord = getattr(request, _SENT_HERE)
    return chord


def _check(instance: Any = None, **_: Any) -> None:
    """A Celery worker or a bridge is about to start, and its log is set up."""
    connection = getattr(instance.app, "streams_connection", None)
    if connection is None:
        return
    from bridge.remote_control import revoking  # noqa: F401 - whose commands take the place of Celery's, in a node only

    refused = log_findings(check_configuration(instance.app, sends_events=bool(instance.task_events)))
    if refused and connection.is_bridge:
        raise SystemExit(EX_CONFIG)  # of the node, which ends in good order with this exit code
