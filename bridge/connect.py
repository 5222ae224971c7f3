"""`connect(app)` turns any Celery app into a bridged one."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals

from bridge import identity
from bridge.configuration import EX_CONFIG, check_configuration, log_findings
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
    signals.celeryd_after_setup.connect(_check, dispatch_uid="bridge.configuration.check", weak=False)
    return app


def _stamp(headers: dict[str, Any] | None = None, **_: Any) -> None:
    if headers is not None:
        identity.stamp(headers)


def _check(instance: Any = None, **_: Any) -> None:
    """A Celery worker or a bridge is about to start, and its log is set up."""
    connection = getattr(instance.app, "streams_connection", None)
    if connection is None:
        return
    refused = log_findings(check_configuration(instance.app, sends_events=bool(instance.task_events)))
    if refused and connection.is_bridge:
        raise SystemExit(EX_CONFIG)  # of the node, which ends in good order with this exit code
