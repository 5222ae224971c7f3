"""Celery's remote control, as far as jobs are concerned. Imported by the bridge's node, whose `revoke` this is."""

from __future__ import annotations

import logging
from typing import Any

from celery.utils.functional import maybe_list
from celery.worker.control import Panel, control_command

from bridge.connection import Connection
from streams.jobs.cancelling import cancel_task

logger = logging.getLogger(__name__)

_celerys_revoke = Panel.data["revoke"]


@control_command(name="revoke", variadic="task_id", signature="[id1 [id2 [... [idN]]]]")
def revoke(state: Any, task_id: Any, terminate: bool = False, signal: str | None = None, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 - Celery's signature
    """Revoke task by task id (or list of ids): a job that waits on a stream never starts; with terminate a running one is stopped."""
    for each in map(str, maybe_list(task_id) or []):
        connection = Connection.of(state.app)
        answers = cancel_task(connection.client, connection.keys, each, waiting_only=not terminate)
        logger.info("revoke %s%s: %s", each, " (terminate)" if terminate else "", ", ".join(answers.values()) or "no job of it is known yet")
    return _celerys_revoke(state, task_id, terminate=terminate, signal=signal, **kwargs)
