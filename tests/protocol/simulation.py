"""Random scenarios on a real server: some dozens of steps in any order, then everything comes to rest, and the invariants are looked at.

A scenario is its seed. Its steps are pairs `(name, number)`, and all that a step chooses comes from its number: a step can be left out and the rest
still means something, so a failing scenario is shrunk by leaving out steps (see `search`).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Final

import redis

from streams.bus.topology import MANAGEMENT_CONSUMERS
from tests.protocol import actors, operators
from tests.protocol.actors import Actor
from tests.protocol.dead_scene import DeadScene
from tests.protocol.rest import check_at_rest
from tests.protocol.scene import FAR_MS, Row, rows
from tests.protocol.world import Rules, Violation, World, parent_of, task_of

Steps = list[tuple[str, int]]
HEALTHY: Final = ("ok", "ok", "ok", "fail", "again", "again", "back", "back")
SICKLY: Final = ("ok", "fail", "again", "again", "again", "again", "again", "back")
"""Endings of runs: there are dead letters."""
MOST_ROUNDS: Final = 60
MOST_IDLE_STEPS: Final = 80


@dataclass(frozen=True, slots=True)
class Scenario:
    """What one seed stands for."""

    seed: int
    rules: Rules
    weights: tuple[int, ...]
    length: int

    @classmethod
    def of_seed(cls, seed: int) -> Scenario:
        """Some kinds of steps are left out altogether and some are frequent, so that scenarios differ in kind."""
        pick = Random(seed)
        sickly = pick.random() < 0.4
        rules = Rules(
            max_deliveries=pick.choice((1, 1, 2) if sickly else (1, 2, 2, 3)),
            max_retries=pick.choice((0, 0, 1)),
            publishes=pick.choice((("a0",), ("a0",), ("a0", "b0"), ("a0", "b0", "c0"))),
            at_most_once=pick.choice((frozenset(), frozenset(), frozenset("a"), frozenset("abc"))),
            park=pick.random() < 0.5,
            endings=SICKLY if sickly else HEALTHY,
        )
        weights = (Simulation.STRAIGHT.get(name) or pick.choice(Simulation.FREQUENCIES.get(name, (0, 2, 5))) for name in Simulation.STEPS)
        return cls(seed, rules, tuple(weights), pick.randint(15, 60))

    def steps(self) -> Iterator[tuple[str, int]]:
        """Without end."""
        pick, names = Random(self.seed), list(Simulation.STEPS)
        while True:
            yield pick.choices(names, self.weights)[0], pick.randrange(1 << 30)


class Simulation:
    """One run of a scenario."""

    def __init__(self, client: redis.Redis, rules: Rules) -> None:
        self.scene = DeadScene(client, f"sim{secrets.token_hex(4)}:")
        self.world = World(self.scene, rules)
        client.xgroup_create(self.scene.status, MANAGEMENT_CONSUMERS, id="0", mkstream=True)
        client.xgroup_create(self.scene.results, "monitoring", id="0")
        self.client, self.live, self.steps, self.started = client, list[Actor](), Steps(), 0
        for publish in rules.publishes:
            self.world.send(publish)

    def run_random(self, scenario: Scenario) -> None:
        """As many steps as the scenario has, without those that find nothing to do; then see `run`."""
        steps = scenario.steps()
        with self._keys_removed():
            idle = 0
            while len(self.steps) < scenario.length and idle < MOST_IDLE_STEPS:
                before = len(self.steps)
                self._step(*next(steps))
                idle = 0 if len(self.steps) > before else idle + 1
            self._rest()

    def run(self, steps: Steps) -> None:
        """Do the steps, then let everything come to rest.

        Raises:
            Violation: an invariant doesn't hold; `world.trace` tells how it came.
        """
        with self._keys_removed():
            for name, number in steps:
                self._step(name, number)
            self._rest()

    def _step(self, name: str, number: int) -> None:
        said, started = len(self.world.trace), self.started
        self.steps.append((name, number))
        self.STEPS[name](self, Random(number))
        if (said, started) == (len(self.world.trace), self.started):
            self.steps.pop()

    def _rest(self) -> None:
        self.come_to_rest(Random(len(self.steps)))
        check_at_rest(self.world)

    @contextmanager
    def _keys_removed(self) -> Iterator[None]:
        try:
            yield
        finally:
            keys = list(self.client.scan_iter(match=f"{self.scene.keys.prefix}*", count=1000))
            if keys:
                self.client.unlink(*keys)

    # ---------------------------------------------------------------------------------------------------------------------------- the steps

    def begin_dispatch(self, pick: Random) -> None:
        if self.world.broker:
            self._start(actors.celery_worker(self.world, pick.choice(self.world.broker), pick))

    def redeliver(self, pick: Random) -> None:
        publish = pick.choice(sorted(self.world.sent - self.world.lost_messages))
        self.world.say(f"the broker delivers {publish} again")
        self.world.broker.append(publish)

    def go_on(self, pick: Random) -> None:
        if self.live:
            self._advance(pick.choice(self.live))

    def go_through(self, pick: Random) -> None:
        """One goes on to its end while all others stand still."""
        if self.live:
            actor = pick.choice(self.live)
            self.live.remove(actor)
            self._finish(actor)

    def crash(self, pick: Random) -> None:
        """Whoever it is does nothing any more."""
        if self.live:
            self.live.remove(pick.choice(self.live))
            self.world.say("somebody crashes")

    def read_command(self, pick: Random) -> None:
        name = pick.choice(("W1", "W2", "W3"))
        for row in self._new(self.scene.commands, self.scene.service.group, name):
            self._start(actors.stream_worker(self.world, self.scene.delivery(row, name), pick))

    def claim_command(self, pick: Random) -> None:
        """A lease has run out: of a dead worker, or of one that only hangs."""
        delivery = self.scene.claim(pick.choice(("W1", "W2", "W3")))
        if delivery is not None:
            self._start(actors.stream_worker(self.world, delivery, pick))

    def restart_worker(self, pick: Random) -> None:
        """A new process with an old name finds what it holds by the server's account; the old one may still be there."""
        name = pick.choice(("W1", "W2"))
        held = {row["message_id"] for row in self.scene.pending() if row["consumer"] == name}
        for row in [row for row in self.scene.entries(self.scene.commands) if row[0] in held][:1]:
            self.world.say(f"{name} starts again")
            self._start(actors.stream_worker(self.world, self.scene.delivery(row, name), pick))

    def foreign_read(self, pick: Random) -> None:
        for row in self._new(self.scene.commands, self.scene.service.group, "F"):
            self._start(actors.foreign_worker(self.world, self.scene.delivery(row, "F"), pick))

    def read_result(self, pick: Random) -> None:
        for row in self._new(self.scene.results, MANAGEMENT_CONSUMERS, pick.choice(("B1", "B2"))):
            self._start(actors.bridge(self.world, row, pick))

    def claim_result(self, pick: Random) -> None:
        row = self.scene.claim_result(pick.choice(("B1", "B2")))
        if row is not None:
            self._start(actors.bridge(self.world, row, pick))

    def read_status(self, pick: Random) -> None:
        for row in self._new(self.scene.status, MANAGEMENT_CONSUMERS, "B1"):
            self._start(actors.status_reader(self.world, row, pick))

    def monitor_result(self, pick: Random) -> None:
        for row in self._new(self.scene.results, "monitoring", "M"):
            self._start(actors.monitor(self.world, row, pick))

    def promote(self, pick: Random) -> None:
        self._promote_all(None)

    def repair(self, pick: Random) -> None:
        for publish in self.client.zrange(self.scene.keys.open_jobs, 0, -1):
            self.world.repair(str(publish))

    def trim(self, pick: Random) -> None:
        self.world.trim(pick.choice((self.scene.commands, self.scene.results)))

    def cancel(self, pick: Random) -> None:
        task = task_of(pick.choice(sorted(self.world.sent)))
        if self.world.revokes[task] < 2:
            self.world.cancel(task)

    def expire(self, pick: Random) -> None:
        """Time passes."""
        waiting = sorted(self.world.seqs.keys() - self.world.closed.keys() - self.world.overdue)
        if waiting:
            publish = pick.choice(waiting)
            self.world.say(f"{publish} has expired")
            self.world.overdue.add(publish)

    def reap(self, pick: Random) -> None:
        pending = [row["message_id"] for row in self.scene.pending()]
        if pending:
            entry = pick.choice(pending)
            command = dict(self.scene.entries(self.scene.commands)).get(entry)
            if command is not None:
                self.world.reap(entry, command["publish_id"])

    def redrive(self, pick: Random) -> None:
        letters = self.scene.entries(self.scene.dead)
        if letters:
            letter, fields = pick.choice(letters)
            self._start(operators.redrive(self.world, letter, fields["publish_id"], pick))

    def release(self, pick: Random) -> None:
        known = sorted(self.world.parked) or sorted(self.world.seqs)
        if self.world.parked or (known and pick.random() < 0.1):
            operators.release(self.world, pick.choice(known))

    def lose_message(self, pick: Random) -> None:
        waiting = sorted({publish for publish in self.world.broker if parent_of(publish) and publish not in self.world.seqs})
        if waiting:
            publish = pick.choice(waiting)
            self.world.say(f"the message of {publish} is lost")
            self.world.lost_messages.add(publish)
            while publish in self.world.broker:
                self.world.broker.remove(publish)

    def fail_before_dispatch(self, pick: Random) -> None:
        closed = self.world.closed
        waiting = sorted({publish for publish in self.world.broker if parent_of(publish) in closed and publish not in self.world.seqs})
        if waiting:
            self._start(operators.fail_before_dispatch(self.world, pick.choice(waiting)))

    def look_after_retries(self, pick: Random) -> None:
        operators.look_after_retries(self.world)

    def lose_command(self, pick: Random) -> None:
        entries = self.scene.entries(self.scene.commands)
        if entries:
            entry, fields = pick.choice(entries)
            self.world.say(f"entry {entry} of {fields['publish_id']} is lost")
            self.world.lost.add(fields["publish_id"])
            self.client.xdel(self.scene.commands, entry)

    STEPS: Final[dict[str, Callable[[Simulation, Random], None]]] = {
        step.__name__: step
        for step in (
            *(begin_dispatch, go_on, go_through, read_command, read_result),
            *(redeliver, crash, claim_command, restart_worker, foreign_read, claim_result, read_status, monitor_result),
            *(promote, repair, trim, cancel, lose_command),
            *(expire, reap, redrive, release, lose_message, fail_before_dispatch, look_after_retries),
        )
    }
    STRAIGHT: Final = {"begin_dispatch": 2, "go_on": 14, "go_through": 3, "read_command": 3, "read_result": 3}
    FREQUENCIES: Final = {"cancel": (0, 0, 1), "redeliver": (0, 0, 1), "crash": (0, 0, 1, 3), "lose_command": (0, 0, 1, 4)} | {
        "expire": (0, 0, 0, 1),
        "reap": (0, 0, 1, 3),
        "redrive": (0, 1, 3),
        "release": (0, 0, 1),
        "lose_message": (0, 0, 2, 5),
        "fail_before_dispatch": (0, 0, 2, 5),
        "look_after_retries": (0, 1),
    }

    # ------------------------------------------------------------------------------------------------------------------------------- at rest

    def come_to_rest(self, pick: Random) -> None:
        """Who is left goes on or crashes; then everybody works until there is nothing to do. Some had hung all the while, and go on only then."""
        late: list[Actor] = []
        for actor in list(self.live):
            fate = pick.random()
            if fate < 0.4:
                self._finish(actor)
            elif fate < 0.7:
                late.append(actor)
        self.live.clear()
        for _ in range(MOST_ROUNDS):
            if self._round(pick):
                if not late:
                    return
                self.world.say("somebody comes late")
                self._finish(late.pop())
        raise Violation(f"I1: there is still something to do after {MOST_ROUNDS} rounds")

    def _round(self, pick: Random) -> bool:
        world, scene = self.world, self.scene
        for publish in list(world.broker):
            self._finish(actors.celery_worker(world, publish, pick))
        self._promote_all(FAR_MS)
        while (delivery := scene.claim("W1")) is not None:
            self._finish(actors.stream_worker(world, delivery, pick))
            if pick.random() < 0.3:
                break  # the same entry may be claimed for ever, handed back each time
        for row in self._new(scene.commands, scene.service.group, "W2", count=100):
            self._finish(actors.stream_worker(world, scene.delivery(row, "W2"), pick))
        for row in self._new(scene.status, MANAGEMENT_CONSUMERS, "B1", count=100):
            self._finish(actors.status_reader(world, row, pick))
        ways: list[Callable[[], Iterator[Row]]] = [self._claimed_results, self._new_results]
        for results in ways if pick.random() < 0.6 else reversed(ways):
            for row in results():
                self._finish(actors.bridge(world, row, pick))
        self.repair(pick)
        self.trim(pick)
        operators.look_after_retries(world)
        for publish in sorted(world.parked) if pick.random() < 0.2 else ():
            operators.release(world, publish)
        pending = len(scene.pending()) + len(scene.pending(scene.results, MANAGEMENT_CONSUMERS))
        waiting = sum(map(self.client.zcard, (scene.keys.open_jobs, scene.keys.retrying_jobs, scene.delayed)))
        return not (world.broker or pending or waiting)

    # -------------------------------------------------------------------------------------------------------------------------------- actors

    def _new(self, stream: str, group: str, consumer: str, *, count: int = 1) -> list[Row]:
        return rows(self.client.xreadgroup(group, consumer, {stream: ">"}, count=count), stream)

    def _claimed_results(self) -> Iterator[Row]:
        while (row := self.scene.claim_result("B1")) is not None:
            yield row

    def _new_results(self) -> Iterator[Row]:
        yield from self._new(self.scene.results, MANAGEMENT_CONSUMERS, "B2", count=100)

    def _promote_all(self, now_ms: int | None) -> None:
        for publish in map(str, self.client.zrange(self.scene.delayed, 0, -1)):
            entry = self.scene.promote(publish, now_ms=now_ms)
            if entry:
                self.world.say(f"promote {publish}: {entry}")

    def _start(self, actor: Actor) -> None:
        """The first step is done at once, unless it crashes right after the read."""
        self.live.append(actor)
        self.started += 1
        self._advance(actor)

    def _advance(self, actor: Actor) -> None:
        if next(actor, self) is self:
            self.live.remove(actor)

    def _finish(self, actor: Actor) -> None:
        for _ in actor:
            pass
