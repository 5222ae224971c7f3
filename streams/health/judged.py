"""Which groups are judged."""

from __future__ import annotations

from collections.abc import Iterator

from streams.bus.topology import MANAGEMENT_CONSUMERS
from streams.health.snapshot import Group, Snapshot, Stream, StreamRole


def judged_groups(snapshot: Snapshot) -> Iterator[tuple[Stream, Group]]:
    """Those that jobs depend on: the workers' on commands, and the bridges'. Others may read as slowly as they like."""
    groups = {service.name: service.group for service in snapshot.services}
    for stream in snapshot.streams:
        for group in stream.groups:
            if group.name == MANAGEMENT_CONSUMERS or (stream.role is StreamRole.COMMANDS and group.name == groups.get(stream.service)):
                yield stream, group


def bridges_groups(snapshot: Snapshot) -> Iterator[tuple[Stream, Group]]:
    return ((stream, group) for stream, group in judged_groups(snapshot) if group.name == MANAGEMENT_CONSUMERS)
