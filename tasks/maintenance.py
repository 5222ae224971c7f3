"""Upkeep of the streams, sent by beat. Delayed commands are put back by the bridge itself, each second."""

from __future__ import annotations

from bridge import maintenance
from bridge.connection import Connection
from tasks.celery import app


@app.task(ignore_result=True)
def repair_open() -> dict[str, int]:
    """Send jobs again whose command vanished."""
    return maintenance.repair_open(Connection.of(app))


@app.task(ignore_result=True)
def trim_done() -> dict[str, int]:
    """Trim what is done with."""
    return maintenance.trim_done(Connection.of(app))
