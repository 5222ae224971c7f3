"""What the servers themselves say: the part of `bridge.configuration.checks` that has to ask them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Final

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from bridge.celery_internals.backends import is_redis
from bridge.celery_internals.servers import redis_of_backend
from bridge.configuration.findings import Finding, Severity, refuse, warn
from bridge.connection import Connection
from streams.bus.clients import CONNECTION_ERRORS
from streams.bus.clients import connect as connect_redis

logger = logging.getLogger(__name__)

STREAMS: Final = "the streams' server"
RESULTS: Final = "the result backend's server"


def findings_of_servers(app: Celery) -> list[Finding]:
    """The streams' server, and the result backend's if that is another Redis."""
    findings: list[Finding] = []
    seen: set[str] = set()
    connection = Connection.of(app)
    connection.servers_checked = True
    with connect_redis(connection.settings.redis_url, name="check") as streams:
        clients = {STREAMS: streams}
        if is_redis(type(app.backend)):
            clients[RESULTS] = redis_of_backend(app.backend)
        for whose, client in clients.items():
            try:
                server: dict[str, Any] = client.info()
                if server["run_id"] not in seen:
                    seen.add(server["run_id"])
                    findings += _functions(client, server, whose)
                    findings += _eviction(server, whose)
                    findings += _durability(server, whose)
            except CONNECTION_ERRORS as exc:
                connection.servers_checked = False  # a bridge asks again as soon as it has reached the streams
                logger.info("configuration: %s can't be asked: %s: %s", whose, type(exc).__name__, exc)
            except redis.ResponseError as exc:  # an ACL: whoever made it knows the server
                logger.info("configuration: %s doesn't say: %s", whose, exc)
    return findings


def _functions(client: redis.Redis, server: dict[str, Any], whose: str) -> Iterator[Finding]:
    try:
        known: Any = client.execute_command("COMMAND INFO", "FCALL")  # type: ignore[no-untyped-call]  # one word: redis-py reads no None in the other
    except redis.ResponseError:
        return  # not allowed: if the library is missing, the bridge says so
    if not any(known):
        version = server.get("valkey_version") or server.get("redis_version")
        why = "it has no Redis Functions, which each step of a job is one of"
        yield refuse(whose, f"version {version}", why, "up Redis 7.0 or Valkey 7.2, or later")


def _eviction(server: dict[str, Any], whose: str) -> Iterator[Finding]:
    policy = str(server.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction" or not server.get("maxmemory"):
        return
    if policy.startswith("allkeys") and whose == STREAMS:
        severity, why = Severity.REFUSE, "when its memory is full it drops keys: whole streams with their jobs, and the ledger"
    else:
        severity, why = Severity.WARN, "when its memory is full it drops results, and what tells an older state from a newer one"
    yield Finding(severity, f"maxmemory-policy of {whose}", policy, why, "maxmemory-policy noeviction")


def _durability(server: dict[str, Any], whose: str) -> Iterator[Finding]:
    if whose == STREAMS and not int(server.get("aof_enabled", 1)):
        yield warn(f"appendonly of {whose}", "no", "what was sent since its last snapshot is lost when it crashes", "appendonly yes")


def is_watched(app: Celery) -> bool:
    """Whether somebody receives Celery's events, such as Flower. Only a Redis broker can say; of another nothing is known."""
    try:
        with app.connection_for_write() as connection:
            if connection.transport.driver_type != "redis":
                return False
            connection.ensure_connection(max_retries=1, timeout=2)
            receivers: Any = connection.default_channel.get_table(app.conf.event_exchange)
            return bool(receivers)
    except (OperationalError, *CONNECTION_ERRORS, redis.RedisError) as exc:
        logger.info("configuration: the broker can't be asked who receives events: %s: %s", type(exc).__name__, exc)
        return False
