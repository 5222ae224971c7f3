"""The name of a worker, spelled as Celery's `-n` is."""

from __future__ import annotations

import re
import socket


def worker_name(pattern: str, service: str) -> str:
    """`%h` is the host's full name, `%n` its first part, `%d` the rest; a pattern without `@` is the host of a worker that is named as its service.

    Raises:
        ValueError: another letter stands behind a `%`.
    """
    if "@" not in pattern:
        pattern = f"{service}@{pattern}"
    host = socket.gethostname()
    short, _, domain = host.partition(".")
    known = {"h": host, "n": short, "d": domain}

    def filled_in(match: re.Match[str]) -> str:
        try:
            return known[match[1]]
        except KeyError:
            raise ValueError(f"%{match[1]} in {pattern!r} is none of %h (host), %n (its first part) and %d (its domain)") from None

    return re.sub(r"%(\w)", filled_in, pattern)
