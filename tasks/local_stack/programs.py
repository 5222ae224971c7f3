"""What runs: one line a process."""

from __future__ import annotations

import enum
import socket
from dataclasses import dataclass
from pathlib import Path

FLOWER_PORT = 5555


class Side(enum.Enum):
    """Which environment a process gets."""

    CELERY = "celery"
    """Broker and result backend; nothing of freqtrade's."""
    WORKER = "worker"
    """The streams only; nothing of Celery's."""


@dataclass(frozen=True, slots=True)
class Program:
    """A process of the stack: what this Python is called with."""

    name: str
    arguments: tuple[str, ...]
    side: Side
    url: str | None = None
    """Where a browser finds it."""


def default_programs(directory: Path, *, concurrency: int = 2, flower_port: int | None = None) -> tuple[Program, ...]:
    """The processes of a whole system.

    Args:
        directory: for what they leave behind.
        concurrency: backtests at a time.
        flower_port: of 127.0.0.1; 5555 or else a free one when None.
    """
    app = ("-m", "celery", "-A", "tasks")
    schedule = str(directory / "celerybeat-schedule")
    port = free_port(FLOWER_PORT) if flower_port is None else flower_port
    return (
        Program("celery", (*app, "worker", "--concurrency=1", "--loglevel=INFO"), Side.CELERY),
        Program("beat", (*app, "beat", "--schedule", schedule, "--loglevel=INFO"), Side.CELERY),
        Program("bridge", (*app, "bridge"), Side.CELERY),
        Program("backtesting", ("-m", "workers", "backtesting", "--concurrency", str(concurrency)), Side.WORKER),
        *(Program(service, ("-m", "workers", service), Side.WORKER) for service in ("freqai", "hyperopt", "data")),
        Program("flower", (*app, "flower", "--address=127.0.0.1", f"--port={port}"), Side.CELERY, url=f"http://127.0.0.1:{port}"),
    )


def free_port(wanted: int) -> int:
    """That port of 127.0.0.1 if nobody listens on it, else any free one."""
    for candidate in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
    raise OSError("127.0.0.1 has no free port")
