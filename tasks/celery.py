"""The Celery app, connected to the streams."""

from __future__ import annotations

from celery import Celery

from bridge import connect

app = connect(Celery("tasks"))
app.config_from_object("celeryconfig")
