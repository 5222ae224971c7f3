"""Celery settings of this repository's application; secrets and addresses come from the environment."""

from __future__ import annotations

import os

from bridge import maintenance_schedule

broker_url = os.environ.get("CELERY_BROKER_URL") or "redis://127.0.0.1:6379/0"
result_backend = os.environ.get("CELERY_RESULT_BACKEND") or "redis://127.0.0.1:6379/0"
broker_connection_retry_on_startup = True
# Tasks here are short (bridged ones only dispatch), so a message that a killed worker held comes back soon. A message with a longer ETA is delivered
# more than once; a bridged task recognises that.
broker_transport_options = {
    "visibility_timeout": float(os.environ.get("CELERY_VISIBILITY_TIMEOUT") or 300),
    # A worker that is killed while it looks for such messages keeps all others from looking, for kombu's 300 s. It takes milliseconds.
    "unacked_mutex_expire": 30,
}

imports = ("tasks.backtesting", "tasks.data", "tasks.follow_up", "tasks.freqai", "tasks.hyperopt", "tasks.research", "tasks.maintenance")
task_serializer = result_serializer = "json"
accept_content = ["json"]
result_extended = True
result_expires = 30 * 86_400  # must outlast the longest job, or a chord would wait for ever
task_send_sent_event = True
worker_send_task_events = True
worker_prefetch_multiplier = 4
timezone = "UTC"

# Yours go in here too. The streams' upkeep is done by the bridge, and by beat when BRIDGE_UPKEEP=beat.
beat_schedule: dict[str, object] = {**maintenance_schedule()}
