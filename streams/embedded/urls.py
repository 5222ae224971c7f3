"""One server, two spellings: redis-py's URL and the one of Celery and kombu."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode, urlsplit


def unix_url(socket: Path) -> str:
    """redis-py's URL of a server behind a Unix socket."""
    return f"unix://{quote(str(socket))}"


def celery_url(redis_url: str, db: int | None = None) -> str:
    """The same server for `broker_url` and `result_backend` (kombu 5.7's redis transport, celery 5.7's redis backend).

    They know a Unix socket as `redis+socket://` and its database as `virtual_host`; a TCP URL is the same for both.

    Args:
        redis_url: as redis-py takes it: `redis://`, `rediss://` or `unix://`.
        db: another database than the one in the URL.
    """
    parts = urlsplit(redis_url)
    if parts.scheme == "unix":
        query = dict(parse_qsl(parts.query))
        named = query.pop("db", "0")
        query["virtual_host"] = named if db is None else str(db)
        return f"redis+socket://{parts.netloc}{parts.path}?{urlencode(query)}"
    return redis_url if db is None else parts._replace(path=f"/{db}").geturl()
