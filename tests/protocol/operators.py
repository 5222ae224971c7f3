"""What operators do with dead letters: release (R16) and redrive (R12). And what the reconciler does with retries that don't come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import cast

from bridge.states import DISPATCHED
from tests.protocol.world import SUCCESS, World, lineage_of, parent_of, retry_of, task_of

Actor = Iterator[None]


@dataclass(frozen=True, slots=True)
class Seen:
    """What an operator sees of a lineage, before a redrive."""

    seq: int
    publishes: tuple[str, ...]
    phase: str
    """Of the publish that is to be redriven."""

    @classmethod
    def now(cls, world: World, publish: str) -> Seen:
        """As `bridge.dead_letters.lineage_of` sees it."""
        client, keys = world.scene.client, world.scene.keys
        known = cast("dict[str, str]", client.hgetall(keys.task(task_of(publish))))
        numbers = sorted((int(name.removeprefix("publish:")), value) for name, value in known.items() if name.startswith("publish:"))
        kin = tuple(other for _, other in numbers if client.hget(keys.job(other), "lineage") == lineage_of(publish))
        return cls(int(known["seq"]), kin, str(client.hget(keys.job(publish), "phase")))


def release(world: World, publish: str) -> None:
    """R16, of whatever publish."""
    verdict = world.scene.release(publish)
    world.say(f"release {publish}: {verdict}")
    expected = "released" if publish in world.parked else "repeated" if publish in world.released else "not parked"
    world.require(verdict == expected, "R16", f"{publish} is {verdict}")
    if verdict == "released":
        world.let_go(publish)


def redrive(world: World, letter: str, publish: str, pick: Random) -> Actor:
    """R12, as `bridge.dead_letters.redriving` does it: a look at the lineage, the redrive, and then DISPATCHED. Others may come in between."""
    new = world.redriven.get(letter) or f"{publish}'{letter}"
    for _ in range(3):
        seen = Seen.now(world, publish)
        if pick.random() < 0.5:
            yield
        expected = _expected(world, letter, publish, seen)
        redriven = world.scene.redrive(
            publish, letter, new=new, task=task_of(publish), lineage=seen.publishes, seen_seq=seen.seq, seen_phase=seen.phase
        )
        world.say(f"redrive {publish} as {new}: {redriven.verdict}")
        world.require(redriven.verdict == expected, "R12", f"the redrive of {publish} is {redriven.verdict}, not {expected}")
        if redriven.verdict != "changed":
            break
    if redriven.verdict == "sent":
        _sent(world, letter, publish, new, redriven.seq, seen)
    yield
    if redriven.waits:
        world.put(new, DISPATCHED)


def _expected(world: World, letter: str, publish: str, seen: Seen) -> str:
    """The verdict, by what really happened."""
    if letter in world.redriven:
        return "duplicate"
    newest = max(seq for other, seq in world.seqs.items() if task_of(other) == task_of(publish))
    phase = "parked" if publish in world.parked else "closed" if publish in world.closed else "open"
    if seen.seq != newest or seen.phase != phase:
        return "changed"
    kin = sorted((other for other in world.seqs if lineage_of(other) == lineage_of(publish)), key=world.seqs.__getitem__)
    if any(other not in world.closed and other not in world.parked for other in kin):
        return "refused:open"
    if world.parked & set(kin) - {publish}:
        return "refused:parked"
    if publish in world.parked or world.closed[kin[-1]] == "FAILURE":
        return "sent"
    return f"refused:{world.closed[kin[-1]]}"


def _sent(world: World, letter: str, publish: str, new: str, seq: int, seen: Seen) -> None:
    """I9; and whether the new publish is in its chord."""
    kin = {other for other in world.sent | world.seqs.keys() if lineage_of(other) == lineage_of(publish)}
    live = {other for other in kin if other not in world.closed and other not in world.ended_by_celery} - {publish}
    world.require(not live, "I9", f"{publish} is redriven while {live} is live")
    ended = {state for other in kin for state in world.decided.get(other, ())}
    world.require(ended <= {"FAILURE"}, "I9", f"{publish} is redriven, and its lineage has ended with {ended}")
    flag = world.scene.client.exists(world.scene.keys.cancel_flag(task_of(publish)))
    world.require(flag or not world.revokes[task_of(publish)], "I6", f"the redrive of {publish} takes the flag away that others are to see")
    world.number(new, seq)
    world.redriven[letter] = new
    world.pardons[publish[0]] = world.revokes[task_of(publish)]
    if publish in world.parked:
        world.parked.remove(publish)
        world.closed[publish] = "REDRIVEN"
    if seen.phase != "parked" or publish in world.out_of_chord:
        world.out_of_chord.add(new)


def fail_before_dispatch(world: World, publish: str) -> Actor:
    """The payload of a retry can't be built: Celery's own tracer ends it, and its parent is told; or isn't, when the Celery worker dies over it.

    That RETRY may be stored after that is Celery's own race, and left out: the parent is closed.
    """
    task = task_of(publish)
    while publish in world.broker:
        world.broker.remove(publish)
    world.say(f"Celery fails {publish}")
    world.ended_by_celery.add(publish)
    world.decided[publish] = {"FAILURE"}
    if world.cells.get(task, ("", ""))[1] != SUCCESS:
        world.scene.client.set(f"{world.scene.keys.prefix}meta:{task}", f"FAILURE of {publish}")
        world.cells[task] = (publish, "FAILURE")
    if parent_of(publish) in world.out_of_chord:
        world.out_of_chord.add(publish)
    world.count_part(publish)
    yield
    _tell(world, publish)


def _tell(world: World, child: str) -> None:
    publish = parent_of(child)
    waits = world.scene.client.zscore(world.scene.keys.retrying_jobs, publish) is not None
    verdict = world.scene.retry_ended(publish, task=task_of(publish))
    world.say(f"{publish} is told that its retry has failed: {verdict}")
    world.require(verdict == ("ended" if waits else "told"), "R9", f"the end of {child}: {verdict}")
    if waits:
        world.closed[publish] = "FAILURE"


def look_after_retries(world: World) -> None:
    """As the reconciler: a retry that ended otherwise lets its parent go; one whose message is lost is sent again."""
    scene = world.scene
    for publish in map(str, scene.client.zrange(scene.keys.retrying_jobs, 0, -1)):
        child = retry_of(publish)
        world.require(child not in world.seqs, "I8", f"{publish} waits for {child}, which was dispatched")
        if child in world.ended_by_celery:
            _tell(world, child)
        elif child in world.lost_messages:
            world.say(f"{child} is sent again")
            world.lost_messages.remove(child)
            world.broker.append(child)
