"""Metrics over HTTP, for Prometheus: off unless a port is set."""

from __future__ import annotations

import logging
from threading import Thread
from typing import Any, Final

from prometheus_client import CollectorRegistry, start_http_server

logger = logging.getLogger(__name__)

SECONDS: Final = (0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 259_200.0)
"""Buckets of what takes from a moment to three days."""


class Exposition:
    """A server that answers scrapes, in a thread of its own."""

    def __init__(self, server: Any, thread: Thread) -> None:
        self._server, self._thread = server, thread

    @property
    def port(self) -> int:
        """That it listens on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def expose(registry: CollectorRegistry, *, port: int | None, address: str, variable: str) -> Exposition | None:
    """Answer scrapes of these metrics.

    Args:
        registry: of the metrics.
        port: None is off, 0 any that is free; the log says which.
        address: to listen at.
        variable: that the port comes from, for the log.

    Returns:
        None when it is off, or the port can't be had: the process has better things to do than to end for that, and the log says so.
    """
    if port is None:
        return None
    try:
        exposition = Exposition(*start_http_server(port, address, registry))
    except (OSError, OverflowError) as exc:
        logger.error("%s: %s:%d can't be listened on (%s): no metrics from this process; 0 takes any free port", variable, address, port, exc)  # noqa: TRY400
        return None
    logger.info("metrics: http://%s:%d/metrics", f"[{address}]" if ":" in address else address, exposition.port)
    return exposition
