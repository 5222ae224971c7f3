"""The verdict about the streams is noted now and then, also where nobody scrapes: `HGET upkeep metrics` on the streams' server, and a line in the log when it changes."""

from __future__ import annotations

import logging
from typing import Any

from bridge.connection import Connection
from streams.bus.codec import decode_json
from streams.errors import DecodeError
from streams.health.checks import check_stream_health
from streams.health.deployment import Deployment

logger = logging.getLogger(__name__)
WORK = "metrics"


def collect_metrics(connection: Connection) -> dict[str, Any]:
    """Measure and judge; returns `{verdict, reasons, services: {name: {waiting, running, delayed}}}`."""
    health = check_stream_health(Deployment.of(connection))
    verdict = health.verdict.level.word
    if verdict != (before := _before(connection)):
        logger.warning(
            "streams: %s, was %s: %s",
            verdict,
            before or "unknown",
            "; ".join(f"{reason.where}: {reason.what}" for reason in health.verdict.reasons) or "all is well",
        )
    return {
        "verdict": verdict,
        "reasons": sorted({str(reason.kind) for reason in health.verdict.reasons}),
        "services": {
            service.name: {"waiting": service.waiting.at_least, "running": service.running, "delayed": service.delayed}
            for service in health.snapshot.services
        },
    }


def _before(connection: Connection) -> str | None:
    """What it was the last time, whoever looked."""
    noted: Any = connection.client.hget(connection.keys.upkeep, WORK)
    try:
        return str(decode_json(noted)["outcome"]["verdict"]) if noted else None
    except (DecodeError, KeyError, TypeError):
        return None
