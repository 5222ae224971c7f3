"""What every group is done with goes from the command and result streams (protocol R14); status and event streams are cut at their cap."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bridge.connection import Connection
from bridge.maintenance.apart import apart
from streams.bus.limits import StreamLimits
from streams.bus.topology import RedisStreamsConfig, Service
from streams.bus.trim import KEEP_NOTHING, trim


def trim_done(connection: Connection, *, exact: bool = False) -> dict[str, int]:
    """Trim every stream that is trimmed at all; returns what was removed, by stream."""
    streams: list[tuple[str, Callable[[], int]]] = [
        (stream, partial(trim_stream, connection, stream, service, exact=exact)) for stream, service in trimmed_streams(connection)
    ]
    streams += [(stream, partial(cut_at_cap, connection, stream, cap, exact=exact)) for stream, cap in capped_streams(connection).items()]
    removed = dict(apart(streams, lambda each: (each[0], each[1]())))
    return {stream: count for stream, count in removed.items() if count}


def trim_stream(connection: Connection, stream: str, service: Service, *, exact: bool = False) -> int:
    """Remove what every group of a command or result stream is done with and that isn't to be kept; returns how many."""
    step, total = trim(connection.keys.stream(stream), exact=exact, keep=kept(connection, stream, service)), 0
    while removed := connection.call(step).removed:  # the server removes some 10,000 at a time when it may choose (`~`)
        total += removed
    return total


def cut_at_cap(connection: Connection, stream: str, cap: int, *, exact: bool = False) -> int:
    """Remove the oldest entries of a status or event stream above its cap; returns how many."""
    total = 0
    while removed := int(connection.client.xtrim(connection.keys.stream(stream), maxlen=cap, approximate=not exact)):
        total += removed
    return total


def trimmed_streams(connection: Connection) -> list[tuple[str, Service]]:
    """The streams that may lose what every group is done with, and nothing else."""
    return [(stream, each) for each in connection.services for stream in (*each.command_streams, each.results)]


def capped_streams(connection: Connection) -> dict[str, int]:
    """The streams that are news only, and their caps."""
    settings = connection.settings
    caps = {each.status: settings.limits_of(each.status, each).cap for each in connection.services}
    caps |= {name: settings.limits_of(name).cap for name in (RedisStreamsConfig.SYSTEM_EVENTS, RedisStreamsConfig.SUPERSEDED_RESULTS)}
    return {stream: cap for stream, cap in caps.items() if cap is not None}


def kept(connection: Connection, stream: str, service: Service) -> StreamLimits:
    """What of it is kept although it is done with: nothing while the streams are over their memory budget."""
    if connection.client.exists(connection.keys.over_memory):
        return KEEP_NOTHING
    return connection.settings.limits_of(stream, service)
