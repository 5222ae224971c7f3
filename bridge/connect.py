"""`connect(app)` turns any Celery app into a bridged one."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals

from bridge import identity
from bridge.connection import Connection
from bridge.result_backends import fence_backend
from bridge.settings import BridgeSettings


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
    return app


def _stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        identity.stamp(headers)
