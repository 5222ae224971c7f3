"""The steps of an operator with dead letters, and what leads to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from streams.bus.topology import MANAGEMENT_CONSUMERS
from streams.jobs import dead_letters, dispatching, managing
from streams.jobs.dead_letters import Redriven
from tests.protocol.scene import TOMBSTONE, Scene


class DeadScene(Scene):
    """A scene with dead letters: redrive, park, release, reap."""

    def killed(self, consumer: str = "W1") -> str:
        """The next command is used up at once: id of its dead letter."""
        delivery = self.read(consumer)
        if self.take_up(delivery, max_deliveries=0).verdict == "run":  # one that may run once
            assert self.take_up(delivery).verdict == "dead_lettered"
        return self.entries(self.dead)[-1][0]

    def failed(self, publish: str = "p1", *, task: str = "t1") -> str:
        """A publish whose command became a dead letter, and its task FAILURE: id of the dead letter."""
        self.dispatch(publish, task=task)
        letter = self.killed()
        self.close(publish, task=task, outcome="FAILURE")
        return letter

    def parked(self, publish: str = "p1", *, task: str = "t1") -> str:
        """The same of a task that is parked."""
        self.dispatch(publish, task=task)
        letter = self.killed()
        entry = self.read_result()[0]
        assert self.begin(publish, entry).verdict == "won"
        assert self.park(publish, entry, task=task) == "parked"
        return letter

    def park(self, publish: str, entry: str, *, task: str = "t1") -> str:
        return self.do(dead_letters.park(self.keys, publish, task_id=task, results=self.results, group=MANAGEMENT_CONSUMERS, entry=entry))

    def release(self, publish: str = "p1") -> str:
        return self.do(dead_letters.release(self.keys, self.service, publish))

    def redrive(
        self,
        publish: str,
        letter: str,
        *,
        new: str,
        task: str = "t1",
        lineage: Sequence[str] | None = None,
        seen_seq: int | None = None,
        seen_phase: str | None = None,
        context: str = "",
        data: str = "",
    ) -> Redriven:
        """R12, as somebody sees it who has just looked."""
        ledger: Any = self.client.hgetall(self.keys.task(task))
        of_lineage = self.client.hget(self.keys.job(publish), "lineage")
        known = [ledger[name] for name in sorted((n for n in ledger if n.startswith("publish:")), key=lambda n: int(n.partition(":")[2]))]
        step = dead_letters.redrive(
            self.keys,
            self.service,
            publish,
            new_publish_id=new,
            task_id=task,
            seen_seq=int(ledger.get("seq", 0)) if seen_seq is None else seen_seq,
            seen_phase=str(self.client.hget(self.keys.job(publish), "phase")) if seen_phase is None else seen_phase,
            lineage_publishes=[p for p in known if self.client.hget(self.keys.job(p), "lineage") == of_lineage] if lineage is None else lineage,
            stream=self.commands,
            context=context or f"ctx of {new}",
            data=data,
            dead_letter_id=letter,
            tombstone=TOMBSTONE,
        )
        return self.do(step)

    def resend(self, letter: str, *, data: str = "") -> str:
        return self.do(dead_letters.resend(self.keys, self.service, letter, stream=self.commands, data=data))

    def retry_ended(self, parent: str, state: str = "FAILURE", *, task: str = "t1") -> str:
        return self.do(dispatching.retry_ended(self.keys, parent=parent, task_id=task, state=state))

    def reap(self, entry: str, *, publish: str = "p1", min_idle: timedelta = timedelta(0), max_deliveries: int = 3) -> str:
        fields = dict(self.entries(self.commands)).get(entry, {})
        step = managing.reap(
            self.keys,
            self.service,
            stream=self.commands,
            entry=entry,
            fields=fields,
            publish_id=publish,
            min_idle=min_idle,
            max_deliveries=max_deliveries,
        )
        return self.do(step)
