"""What every group is done with goes from the command and result streams (protocol R14); status and event streams are cut at their cap."""

from __future__ import annotations

from bridge.connection import Connection
from streams.bus.limits import StreamLimits
from streams.bus.topology import RedisStreamsConfig, Service
from streams.bus.trim import KEEP_NOTHING, trim


def trim_done(connection: Connection, *, exact: bool = False) -> dict[str, int]:
    """Trim every stream that is trimmed at all; returns what was removed, by stream."""
    removed: dict[str, int] = {}
    for stream, service in trimmed_streams(connection):
        removed[stream] = connection.call(trim(connection.keys.stream(stream), exact=exact, keep=kept(connection, stream, service))).removed
    for stream, cap in capped_streams(connection).items():
        removed[stream] = int(connection.client.xtrim(connection.keys.stream(stream), maxlen=cap, approximate=not exact))
    return {stream: count for stream, count in removed.items() if count}


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
