"""What must hold once nothing moves any more (I1, I3, I8)."""

from __future__ import annotations

from streams.bus.topology import RedisStreamsConfig
from tests.protocol.scene import DEAD_TOMBSTONE
from tests.protocol.world import SUCCESS, World, lineage_of, retry_of, task_of


def check_at_rest(world: World) -> None:
    """Raises `Violation` for the first invariant that doesn't hold."""
    for publish in sorted(world.sent | world.seqs.keys()):
        _check_ended(world, publish)
    for publish in sorted(world.seqs):
        if publish not in world.parked:
            _check_tombstone(world, publish)
    _check_parked(world)
    _check_chords(world)
    _check_ends_of_lineages(world)
    _check_nothing_left(world)
    _check_kept(world)


def _check_ended(world: World, publish: str) -> None:
    goes_on = (publish in world.retried and retry_of(publish) in world.sent) or publish in world.parked or world.closed.get(publish) == "REDRIVEN"
    world.require(publish in world.decided or goes_on, "I1", f"{publish} never ends")
    world.require(not (publish in world.decided and goes_on), "I2", f"{publish} ends, and goes on")
    if SUCCESS in world.decided.get(publish, ()):
        world.require(publish in world.callbacks, "I3", f"the callback of {publish} is missing")


def _check_chords(world: World) -> None:
    """A lineage that has ended has counted once, one that is parked hasn't, unless an earlier run of it had failed before."""
    for lineage in {lineage_of(publish) for publish in world.sent}:
        kin = {publish for publish in world.seqs if lineage_of(publish) == lineage}
        parts = {part for part in world.chord_parts if lineage_of(part) == lineage}
        if kin & world.parked and not kin & world.out_of_chord:
            world.require(not parts, "I10", f"{lineage} is parked, and its chord part counted: {parts}")
        elif not kin & world.parked:
            world.require(len(parts) == 1, "I3", f"the chord part of {lineage} is counted {len(parts)} times: {parts}")


def _check_ends_of_lineages(world: World) -> None:
    """R12 goes by them."""
    for lineage in {lineage_of(publish) for publish in world.closed}:
        ended = {world.seqs[one]: state for one, state in world.closed.items() if lineage_of(one) == lineage and state != "REDRIVEN"}
        if ended:
            noted = str(world.scene.client.hget(world.scene.keys.task(task_of(lineage)), f"ended:{lineage}"))
            last = max(ended)
            world.require(noted == f"{last} {ended[last]}", "R12", f"the lineage {lineage} ended with {last} {ended[last]}, noted is {noted}")


def _check_parked(world: World) -> None:
    scene = world.scene
    listed = set(map(str, scene.client.zrange(scene.keys.parked_jobs, 0, -1)))
    world.require(listed == world.parked, "R15", f"{listed} are listed as parked, {world.parked} are")
    for publish in world.parked:
        world.require(scene.job(publish).get("phase") == "parked", "R15", f"{publish} isn't parked")


def _check_tombstone(world: World, publish: str) -> None:
    scene = world.scene
    job = scene.job(publish)
    world.require(job.get("phase") == "closed", "I1", f"the ledger of {publish} stays {job.get('phase')}")
    world.require(job.get("outcome") == world.closed[publish], "R9", f"the outcome of {publish} is {job.get('outcome')}, not {world.closed[publish]}")
    for key in (scene.keys.job(publish), scene.keys.run(scene.service.name, publish)):
        ttl = int(scene.client.pttl(key))
        world.require(ttl == -2 or 0 < ttl <= DEAD_TOMBSTONE.total_seconds() * 1000, "I8", f"the tombstone of {publish} has the TTL {ttl}")
    ttl = int(scene.client.pttl(scene.keys.task(task_of(publish))))
    world.require(
        ttl == -1 or ttl >= scene.client.pttl(scene.keys.job(publish)), "I8", f"the run counter of {publish} goes before its tombstone: {ttl}"
    )


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
    won = len(world.winners) + len(world.former_winners)
    aside -= world.former_winners  # a bridge that comes late
    world.require(sent == won + len(aside), "R8", f"{sent} results, {won} won, {len(aside)} were kept aside")
    world.require(client.xlen(scene.dead) == world.dead, "R6", f"{world.dead} commands are dead, {client.xlen(scene.dead)} dead letters are there")
