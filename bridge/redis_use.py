"""Who uses the server's memory: each stream, and the other keys by family, as `Keys` names them. Found by SCAN; of each family a few keys are measured."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.connection import Connection
from bridge.maintenance.memory import stream_bytes

SAMPLE: Final = 50
"""Keys of a family that are measured; the others are taken to be like them."""
AT_A_TIME: Final = 1_000
ELSEWHERE: Final = "(other keys of this server)"
_UNIQUE: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class StreamUse:
    """One stream."""

    name: str
    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class FamilyUse:
    """Keys of one kind."""

    name: str
    keys: int
    bytes: int
    """Estimated from a sample."""
    without_ttl: int
    """Of the sample's share: how many stay until somebody removes them."""


@dataclass(frozen=True, slots=True)
class RedisUse:
    """The whole server."""

    used_bytes: int
    max_bytes: int
    """`maxmemory`; 0 is no limit."""
    budget_bytes: int | None
    """Of the streams (`STREAMS_MEMORY_MIB`)."""
    streams: tuple[StreamUse, ...]
    families: tuple[FamilyUse, ...]


@dataclass(slots=True)
class _Family:
    count: int = 0
    sample: list[str] = field(default_factory=list)


def redis_use(connection: Connection) -> RedisUse:
    """Look at every key of the server, a part at a time."""
    client, keys = connection.client, connection.keys
    sizes = stream_bytes(connection)
    streams = [StreamUse(name, int(client.xlen(keys.stream(name))), size) for name, size in sizes.items() if size]
    families = _families(connection, {keys.stream(name) for name in sizes})
    memory: Any = client.info("memory")
    return RedisUse(
        used_bytes=int(memory["used_memory"]),
        max_bytes=int(memory.get("maxmemory", 0)),
        budget_bytes=connection.settings.memory_budget_bytes,
        streams=tuple(sorted(streams, key=lambda each: -each.bytes)),
        families=tuple(sorted((_measured(connection, name, family) for name, family in families.items()), key=lambda each: -each.bytes)),
    )


def _families(connection: Connection, streams: set[str]) -> dict[str, _Family]:
    found: dict[str, _Family] = defaultdict(_Family)
    cursor = 0
    while True:
        cursor, part = connection.client.scan(cursor, count=AT_A_TIME)
        for key in map(str, part):
            if key not in streams:
                family = found[family_of(key, connection.settings.streams_prefix)]
                family.count += 1
                if len(family.sample) < SAMPLE:
                    family.sample.append(key)
        if cursor == 0:
            return found


def family_of(key: str, prefix: str) -> str:
    """What kind of key it is: its first part, without what makes it one of many."""
    if not key.startswith(prefix):
        return ELSEWHERE
    own = key.removeprefix(prefix)
    unique = _UNIQUE.search(own)
    if ":" in own and (unique is None or own.index(":") < unique.start()):
        return own.split(":", 1)[0] + ":"
    return own[: unique.start()] if unique and unique.start() else own


def _measured(connection: Connection, name: str, family: _Family) -> FamilyUse:
    with connection.client.pipeline(transaction=False) as pipe:
        for key in family.sample:
            pipe.memory_usage(key)
            pipe.pttl(key)
        replies: list[Any] = pipe.execute()
    share = family.count / len(family.sample)
    size, lasting = sum(int(each or 0) for each in replies[::2]), sum(each == -1 for each in replies[1::2])
    return FamilyUse(name, family.count, int(size * share), int(lasting * share))
