"""What really happened, kept beside the server: each step is checked against it as it is done (I2, I4, I5, I6, I7), the rest at rest."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from bridge.states import is_terminal, rank
from streams.bus.topology import MANAGEMENT_CONSUMERS
from streams.bus.trim import trim
from streams.jobs import resolving
from streams.jobs.cancelling import cancel_task
from streams.jobs.running import Delivery
from tests.protocol.dead_scene import DeadScene
from tests.protocol.scene import DEAD_TOMBSTONE, MARK_TTL_SECONDS, TOMBSTONE

TASKS: Final = {"a": "t1", "b": "t1", "c": "t2"}
"""Lineages `a` and `b` are one frozen task id that was sent twice."""
SUCCESS: Final = "SUCCESS"


class Violation(AssertionError):
    """An invariant doesn't hold."""

    @property
    def code(self) -> str:
        """Which one, such as `I5`."""
        return str(self).split(":", 1)[0]


def task_of(publish: str) -> str:
    return TASKS[publish[0]]


def lineage_of(publish: str) -> str:
    return publish[0] + "0"


def attempt_of(publish: str) -> int:
    """Celery's retries, which a redrive keeps."""
    return publish.count("+")


def retry_of(publish: str) -> str:
    return publish + "+"


def parent_of(publish: str) -> str:
    """The publish that this one is a retry of, or ''."""
    return publish[:-1] if publish.endswith("+") else ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What one scenario allows."""

    max_deliveries: int
    max_retries: int
    publishes: tuple[str, ...]
    at_most_once: frozenset[str] = frozenset()
    """Lineages."""
    park: bool = False
    endings: tuple[str, ...] = ()
    """Of runs: ok, fail, again (a passing trouble), back (an orderly stop)."""

    def is_once(self, publish: str) -> bool:
        return publish[0] in self.at_most_once

    def deliveries(self, publish: str) -> int:
        return 1 if self.is_once(publish) else self.max_deliveries


@dataclass(slots=True)
class World:
    """The ghost of one deployment. A publish is named by what came before it: `a0`, its retry `a0+`, a redrive of that `a0+'`."""

    scene: DeadScene
    rules: Rules
    broker: list[str] = field(default_factory=list)
    """Celery messages that aren't acknowledged; a publish may be there twice."""
    sent: set[str] = field(default_factory=set)
    seqs: dict[str, int] = field(default_factory=dict)
    runs: Counter[str] = field(default_factory=Counter)
    tokens: dict[str, str] = field(default_factory=dict)
    """The newest token of each publish that a worker was given."""
    revokes: Counter[str] = field(default_factory=Counter)
    """Of each task: the last one's flag stands."""
    pardons: dict[str, int] = field(default_factory=dict)
    """The last revoke that each redriven lineage needn't mind."""
    accepted: set[str] = field(default_factory=set)
    winners: dict[str, str] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    """The outcome of each."""
    parked: set[str] = field(default_factory=set)
    released: set[str] = field(default_factory=set)
    former_winners: set[str] = field(default_factory=set)
    """The results that released publishes were parked with."""
    redriven: dict[str, str] = field(default_factory=dict)
    """The new publish of each dead letter that was redriven."""
    out_of_chord: set[str] = field(default_factory=set)
    ended_by_celery: set[str] = field(default_factory=set)
    """Retries that failed before they could be dispatched."""
    lost_messages: set[str] = field(default_factory=set)
    overdue: set[str] = field(default_factory=set)
    """What has expired."""
    decided: dict[str, set[str]] = field(default_factory=dict)
    """Terminal states that were to be stored, stored or not: Celery's SUCCESS is sticky."""
    retried: set[str] = field(default_factory=set)
    callbacks: set[str] = field(default_factory=set)
    chord_parts: set[str] = field(default_factory=set)
    cells: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What is stored of each task: which publish wrote it, and the state."""
    dead: int = 0
    """Dead letters."""
    answered: set[str] = field(default_factory=set)
    """Publishes of which a worker of ours sent a result."""
    lost: set[str] = field(default_factory=set)
    """Publishes of which an entry was deleted by hand."""
    trace: list[str] = field(default_factory=list)

    def say(self, words: str) -> None:
        self.trace.append(words)

    def require(self, holds: object, invariant: str, words: str) -> None:
        if not holds:
            raise Violation(f"{invariant}: {words}")

    def send(self, publish: str) -> None:
        """A caller, or the replay of a retry, sends a Celery message."""
        self.broker.append(publish)
        self.sent.add(publish)

    # -------------------------------------------------------------------------------------------------------------------- steps with a ghost

    def dispatch(self, publish: str, *, expired: bool) -> int:
        """R3."""
        task = task_of(publish)
        expires = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
        got = self.scene.dispatch(
            publish,
            task=task,
            lineage=lineage_of(publish),
            retries=attempt_of(publish),
            parent=parent_of(publish),
            expires_at=expires,
            at_most_once=self.rules.is_once(publish),
        )
        self.say(f"dispatch {publish}: {got.verdict}, run {got.seq}")
        if publish in self.seqs:
            self.require((got.verdict, got.seq) == ("duplicate", self.seqs[publish]), "R3", f"{publish} is dispatched a second time")
            return got.seq
        flagged = self.is_flagged(publish)
        self.require(got.verdict == ("cancelled" if flagged else "sent"), "I6", f"{publish}, flag {flagged}: {got}")
        self.number(publish, got.seq)
        if parent_of(publish) in self.out_of_chord:
            self.out_of_chord.add(publish)
        if got.verdict == "cancelled":
            self.accepted.add(publish)
        return got.seq

    def is_flagged(self, publish: str) -> bool:
        """Whether the last revoke of its task is meant for it."""
        return self.revokes[task_of(publish)] > self.pardons.get(publish[0], 0)

    def number(self, publish: str, seq: int) -> None:
        """A run number is new, and the newest of its task."""
        newest = max((other for one, other in self.seqs.items() if task_of(one) == task_of(publish)), default=0)
        self.require(seq > newest, "R1", f"run number {seq} of {publish} isn't new")
        self.seqs[publish] = seq

    def put(self, publish: str, state: str) -> None:
        """R2, checked against what is stored."""
        task, terminal = task_of(publish), is_terminal(state)
        written = self._put(publish, state, rank(state), f"{state} of {publish}")
        self.say(f"put {state} of {publish}: {'written' if written else 'refused'}")
        owner, stored = self.cells.get(task, ("", ""))
        if terminal:
            self.decided.setdefault(publish, set()).add(state)
            self.require(len(self.decided[publish]) == 1, "I2", f"{publish} ends twice: {sorted(self.decided[publish])}")
            self.require(not (state == SUCCESS and publish in self.accepted), "I6", f"SUCCESS of {publish}, whose cancel was accepted")
        if not written:
            return
        kin = owner != "" and lineage_of(owner) == lineage_of(publish)
        self.require(stored != SUCCESS, "I2", f"{state} of {publish} over SUCCESS of {owner}")
        self.require(not (terminal and kin and self.is_newer(owner, publish)), "I4", f"{state} of {publish} over {stored} of {owner}")
        over = not terminal and kin and is_terminal(stored) and not self.is_newer(publish, owner)
        self.require(not over, "I2", f"{state} of {publish} over {stored} of {owner}")
        self.cells[task] = (publish, state)

    def is_newer(self, publish: str, other: str) -> bool:
        """By run number. What Celery ended itself has none: it comes right after the run that it was to repeat."""
        one, two = (self.seqs.get(each) or self.seqs[parent_of(each)] + 0.5 for each in (publish, other))
        return one > two

    def raise_mark(self, publish: str, to_rank: int) -> None:
        self._put(publish, "", to_rank, "")
        self.say(f"mark of {publish} raised")

    def _put(self, publish: str, state: str, to_rank: int, value: str) -> bool:
        keys, task = self.scene.keys, task_of(publish)
        change = resolving.StateChange(
            seq=self.seqs[publish],
            rank=to_rank,
            lineage=lineage_of(publish),
            state=state,
            terminal=is_terminal(state),
            mark_ttl_seconds=MARK_TTL_SECONDS,
        )
        step = resolving.put_state(f"{keys.prefix}meta:{task}", keys.mark(task), change, ttl_seconds=3600, value=value)
        return self.scene.do(step)

    def begin(self, publish: str, entry: str) -> resolving.Begun:
        """R8."""
        begun = self.scene.begin(publish, entry)
        self.say(f"begin {publish} by result {entry}: {begun.verdict}{' again' if begun.replay else ''}{', cancelled' if begun.cancelled else ''}")
        if begun.verdict == "won":
            winner = self.winners.setdefault(publish, entry)
            self.require(winner == entry, "R8", f"results {winner} and {entry} of {publish} both win")
            self.require(publish not in self.closed, "R8", f"{publish} begins after it was resolved")
            self.require(bool(begun.cancelled) == (publish in self.accepted), "I6", f"{publish} cancelled: {begun.cancelled}")
            self.require(begun.released == (publish in self.released), "R8", f"{publish} released: {begun.released}")
            self.require(begun.context == f"ctx of {publish}" and begun.lineage == lineage_of(publish), "R8", f"context of {publish}: {begun}")
        else:
            self.require(publish in self.winners, "R8", f"a result of {publish} is {begun.verdict}, and none has won")
        return begun

    def resolved(self, publish: str, entry: str, outcome: str, *, dead: bool = False) -> None:
        """R9."""
        child = retry_of(publish) if outcome == "RETRY" else ""
        tombstone = DEAD_TOMBSTONE if dead else TOMBSTONE
        verdict = self.scene.resolved(publish, entry, task=task_of(publish), tombstone=tombstone, outcome=outcome, retry=child, retry_due_ms=1)
        self.say(f"resolved {publish}: {verdict}, {outcome}")
        self.require(verdict == ("repeated" if publish in self.closed else "closed"), "R9", f"{publish}: {verdict}")
        self.closed.setdefault(publish, outcome)
        self.check_open_ledgers()

    def count_part(self, publish: str) -> None:
        """Celery counts a part once by its task id and its place; here by the publish that it got its end from."""
        if publish in self.out_of_chord:
            return
        others = {part for part in self.chord_parts if lineage_of(part) == lineage_of(publish)} - {publish}
        self.require(not others, "I10", f"the chord part of {publish} is counted, and {others} counted before")
        self.require(publish not in self.parked, "I10", f"the chord part of {publish} is counted, which is parked")
        self.chord_parts.add(publish)

    def cancel(self, task: str) -> None:
        """R10: what is dispatched and has no winner is accepted, and what is still to be dispatched."""
        answers = cancel_task(self.scene.client, self.scene.keys, task)
        self.say(f"cancel {task}: {answers}")
        self.revokes[task] += 1
        for publish in self.seqs:
            if task_of(publish) == task:
                late = publish in self.winners and publish not in self.parked
                self.require(answers.get(publish) == ("too late" if late else "accepted"), "R10", f"{publish}: {answers}")
                if not late:
                    self.accepted.add(publish)
                if publish in self.parked:
                    self.let_go(publish)

    def let_go(self, publish: str) -> None:
        """R16: it is won by its result, which is sent again."""
        self.parked.remove(publish)
        self.released.add(publish)
        self.former_winners.add(self.winners[publish])
        self.winners[publish] = self.scene.job(publish)["winner"].rpartition(" ")[2]

    def repair(self, publish: str) -> None:
        """R13: never while something of the publish is still on its way."""
        on_its_way = self._on_its_way(publish)
        verdict = self.scene.repair(publish, task=task_of(publish), attempt=self.seqs[publish], max_deliveries=self.rules.max_deliveries)
        if not verdict.startswith("fine"):
            self.say(f"repair {publish}: {verdict}")
            self.require(not on_its_way, "R13", f"{publish} is {verdict} while there is {on_its_way}")
            self.require(publish not in self.winners, "R13", f"{publish} is {verdict} while it is being resolved")
            self.require(publish in self.lost, "R13", f"{publish} is {verdict}, and nothing of it was lost but by a step of the protocol")
        self.require(verdict != "repaired" or not self.rules.is_once(publish), "I11", f"{publish} is {verdict}")
        self.dead += verdict == "dead_lettered"

    def reap(self, entry: str, publish: str) -> None:
        """R11."""
        verdict = self.scene.reap(entry, publish=publish, max_deliveries=self.rules.max_deliveries)
        self.say(f"reap {entry} of {publish}: {verdict}")
        known = {
            "reaped": publish not in self.winners and publish not in self.accepted,
            "dead_lettered": publish not in self.winners and publish not in self.accepted,
            "cancelled": publish in self.accepted,
            "resolved": publish in self.winners,
            "vanished": publish in self.lost,
        }
        self.require(known[verdict], "R11", f"{publish} is {verdict}")
        self.require(verdict != "reaped" or not self.rules.is_once(publish), "I11", f"{publish} is {verdict}")
        if verdict in {"dead_lettered", "cancelled"}:
            self.answered.add(publish)
        self.dead += verdict == "dead_lettered"

    def trim(self, stream: str) -> None:
        """R14."""
        before = self.unacknowledged(stream)
        done = self.scene.do(trim(stream, exact=True))
        if done.removed:
            self.say(f"trim {stream.rpartition(':')[2]}: {done.removed}")
        left = {entry for entry, _ in self.scene.entries(stream)}
        self.require(before <= left, "I7", f"trim removed {sorted(before - left)} of {stream}")

    # --------------------------------------------------------------------------------------------------------------------------------- checks

    def check_run(self, publish: str) -> None:
        """R4: nothing runs that has a result of ours, or was accepted for a cancel."""
        self.require(publish not in self.winners, "R4", f"{publish} runs after a result of it has begun")
        self.require(publish not in self.answered, "R4", f"{publish} runs after its result was sent")
        self.require(publish not in self.accepted, "R4", f"{publish} runs after its cancel was accepted")

    def count_run(self, publish: str) -> None:
        """I5, I11."""
        self.runs[publish] += 1
        most = self.rules.deliveries(publish)
        which = "I11" if self.rules.is_once(publish) else "I5"
        self.require(self.runs[publish] <= most, which, f"{publish} runs {self.runs[publish]} times, {most} are allowed")

    def owns(self, delivery: Delivery) -> bool:
        """Whether the worker holds the entry, by the server's account."""
        scene = self.scene
        held = scene.client.xpending_range(scene.commands, scene.service.group, delivery.entry, delivery.entry, 1, delivery.consumer)
        return bool(held)

    def check_fence(self, delivery: Delivery, token: str, what: str, *, owns: bool) -> None:
        """I5: only who holds the entry under the newest token gets through."""
        publish = str(delivery.command.publish_id)
        newest = self.tokens[publish]
        self.require(token == newest, "I5", f"{what} of {publish} accepted for token {token}, {newest} is out")
        self.require(owns, "I5", f"{what} of {publish} accepted from {delivery.consumer}, which doesn't hold it")

    # ---------------------------------------------------------------------------------------------------------------------------------- looks

    def unacknowledged(self, stream: str) -> set[str]:
        """Entries that some group hasn't been given or hasn't acknowledged."""
        client, entries = self.scene.client, {entry for entry, _ in self.scene.entries(stream)}
        found: set[str] = set()
        for group in client.xinfo_groups(stream):
            found |= {entry for entry in entries if _position(entry) > _position(group["last-delivered-id"])}
            found |= {str(row["message_id"]) for row in self.scene.pending(stream, group["name"])}
        return found & entries

    def _on_its_way(self, publish: str) -> str:
        scene = self.scene
        if scene.client.zscore(scene.delayed, publish) is not None:
            return "a delayed command"
        for stream in (scene.commands, scene.results):
            group = scene.service.group if stream == scene.commands else MANAGEMENT_CONSUMERS
            pending = {row["message_id"] for row in scene.pending(stream, group)}
            (last,) = (info["last-delivered-id"] for info in scene.client.xinfo_groups(stream) if info["name"] == group)
            for entry, fields in scene.entries(stream):
                if self.publish_of(fields) == publish and (entry in pending or _position(entry) > _position(last)):
                    return f"entry {entry}"
        return ""

    def publish_of(self, fields: dict[str, str]) -> str:
        """A foreign worker's result names its run only."""
        named = fields.get("publish_id") or self.scene.client.hget(self.scene.keys.task(fields["task_id"]), f"publish:{fields['attempt']}")
        return str(named)

    def check_open_ledgers(self) -> None:
        """I8: an open or parked ledger entry has no TTL, and none that waits for its retry has."""
        waiting = {one for one, outcome in self.closed.items() if outcome == "RETRY" and retry_of(one) not in self.seqs}
        scene, open_now = self.scene, sorted(self.seqs.keys() - self.closed.keys() | waiting)
        pipe = scene.client.pipeline(transaction=False)
        for publish in open_now:
            for key in (scene.keys.job(publish), scene.keys.run(scene.service.name, publish), scene.keys.task(task_of(publish))):
                pipe.pttl(key)
        for index, ttl in enumerate(pipe.execute()):
            publish, which = open_now[index // 3], ("job", "run", "task")[index % 3]
            self.require(
                ttl == -1 or (which == "run" and (ttl == -2 or publish in waiting)), "I8", f"{which} of {publish} is open and has the TTL {ttl}"
            )


def _position(entry: str) -> tuple[int, int]:
    ms, seq = re.findall(r"\d+", entry)
    return int(ms), int(seq)
