"""What must hold once nothing moves any more (I1, I3, I8)."""

from __future__ import annotations

from streams.bus.topology import RedisStreamsConfig
from tests.protocol.scene import TOMBSTONE
from tests.protocol.world import SUCCESS, World, attempt_of, task_of


def check_at_rest(world: World) -> None:
    """Raises `Violation` for the first invariant that doesn't hold."""
    for publish in sorted(world.sent):
        _check_ended(world, publish)
        _check_tombstone(world, publish)
    _check_nothing_left(world)
    _check_kept(world)


def _check_ended(world: World, publish: str) -> None:
    child = f"{publish[0]}{attempt_of(publish) + 1}"
    world.require(publish in world.decided or (publish in world.retried and child in world.sent), "I1", f"{publish} never ends")
    world.require(not (publish in world.decided and publish in world.retried), "I2", f"{publish} ends and is retried")
    if SUCCESS in world.decided.get(publish, ()):
        world.require(publish in world.callbacks and publish in world.chord_parts, "I3", f"callback or chord part of {publish} is missing")


def _check_tombstone(world: World, publish: str) -> None:
    scene = world.scene
    job = scene.job(publish)
    world.require(job.get("phase") == "closed", "I1", f"the ledger of {publish} stays {job.get('phase')}")
    for key in (scene.keys.job(publish), scene.keys.run(scene.service.name, publish)):
        ttl = int(scene.client.pttl(key))
        world.require(ttl == -2 or 0 < ttl <= TOMBSTONE.total_seconds() * 1000, "I8", f"the tombstone of {publish} has the TTL {ttl}")
    ttl = int(scene.client.pttl(scene.keys.task(task_of(publish))))
    world.require(ttl >= scene.client.pttl(scene.keys.job(publish)), "I8", f"the run counter of {publish} goes before its tombstone: {ttl}")


def _check_nothing_left(world: World) -> None:
    scene = world.scene
    world.require(not scene.client.zcard(scene.delayed), "I8", "a delayed command is left")
    world.require(not world.unacknowledged(scene.commands), "I8", "a command is left")
    for task in {task_of(publish) for publish in world.sent}:
        stored = scene.client.get(f"{scene.keys.prefix}meta:{task}")
        publish, state = world.cells[task]
        world.require(stored == f"{state} of {publish}", "I2", f"stored is {stored!r}, and {state} of {publish} was written last")


def _check_kept(world: World) -> None:
    """Each result has won or was kept aside, and each dead letter has its result."""
    scene, client = world.scene, world.scene.client
    aside = {fields["source_id"] for _, fields in scene.entries(scene.keys.stream(RedisStreamsConfig.SUPERSEDED_RESULTS))}
    sent = int(client.xinfo_stream(scene.results)["entries-added"])
    world.require(sent == len(world.winners) + len(aside), "R8", f"{sent} results, {len(world.winners)} won, {len(aside)} were kept aside")
    world.require(
        client.xlen(scene.dead) == world.parked, "R6", f"{world.parked} commands were parked, {client.xlen(scene.dead)} dead letters are there"
    )
