"""Upkeep of the streams as Celery tasks, which beat sends when `BRIDGE_UPKEEP=beat`; else the bridge does it by itself."""

from __future__ import annotations

from bridge import add_maintenance_tasks
from tasks.celery import app

add_maintenance_tasks(app)
