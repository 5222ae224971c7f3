"""The Celery side: an app that isn't called `tasks`, and three tasks whose work is done by stream workers.

celery -A examples.render.app worker
celery -A examples.render.app bridge
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from bridge import DeadLettered, StreamTask, connect
from examples.render.params import Film, Still, Textures

REDIS = os.environ.get("CELERY_BROKER_URL") or "redis://127.0.0.1:6379/0"

studio = connect(Celery("studio", broker=REDIS, backend=os.environ.get("CELERY_RESULT_BACKEND") or REDIS))
studio.conf.update(
    broker_connection_retry_on_startup=True,
    result_expires=30 * 86_400,  # must outlast the longest job
    worker_send_task_events=True,
)


@studio.task(base=StreamTask, service="render", command="render.textures")
def fetch_textures(names: list[str], seconds_each: float = 0.2) -> Textures:
    """What is sent; `.get()` gives the names of what was fetched."""
    return Textures(names=names, seconds_each=seconds_each)


@studio.task(base=StreamTask, service="render", command="render.film", autoretry_for=(DeadLettered,), max_retries=2)
def film(textures: list[str], **options: Any) -> Film:
    """In a chain, the textures are what `fetch_textures` gave."""
    return Film(textures=textures, **options)


@studio.task(base=StreamTask, service="render", command="render.still", lane="urgent")
def still(of: dict[str, Any], frame: int = 0) -> Still:
    """Somebody looks at the screen and waits: such a job goes before the films."""
    return Still(film=of["film"]["uri"], frame=frame)
