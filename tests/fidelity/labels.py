"""Names for ids, the same for an ordinary and a bridged run: a task is called by its name and arguments, a group by its first member."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from tests.fidelity.observing import Record

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SIDE = re.compile(r"\b(native|bridged)\.")
ADDRESS = re.compile(r"0x[0-9a-f]+")
SHORT = 60
"""Long texts are cut by Celery, and `native.` is shorter than `bridged.`: what is cut is compared by its beginning."""


class Labels:
    """The names of one run of one scenario.

    Args:
        publishes: its messages, in their order.
        eager: first prerun line of each task that was run without a message.
        token: of the kit's keys.
    """

    def __init__(self, publishes: list[Record], eager: list[Record], token: str) -> None:
        self._token = token
        self.names: dict[str, str] = {}
        self._headers: dict[str, Record] = {}
        self._parts: set[str] = set()
        """Ids of the parts of chords: which of them comes last, and sends the body, is chance."""
        for line in publishes:
            self._headers.setdefault(line["id"], line["headers"])
            if line["embed"].get("chord"):
                self._parts.add(line["id"])
        self._chance_roots = self._roots_by_chance()
        self._name_tasks([(line["id"], line["headers"]["task"], line) for line in publishes] + [(line["id"], line["task"], line) for line in eager])
        self._name_groups(publishes)

    def _roots_by_chance(self) -> set[str]:
        """The roots of parts of one chord, where they differ: its body gets that of the part that came last."""
        roots: dict[str, set[str]] = {}
        for part in self._parts:
            headers = self._headers[part]
            roots.setdefault(str(headers.get("group")), set()).add(headers["root_id"])
        return {root for several in roots.values() if len(several) > 1 for root in several}

    def _name_tasks(self, tasks: list[tuple[str, str, Record]]) -> None:
        counts: Counter[str] = Counter()
        for task_id, task, line in tasks:
            if task_id in self.names:
                continue
            arguments = [*map(repr, line["args"]), *(f"{name}={value!r}" for name, value in sorted(line["kwargs"].items()))]
            name = self._anonymous(f"{task}({', '.join(arguments)})")
            counts[name] += 1
            self.names[task_id] = name if counts[name] == 1 else f"{name} #{counts[name]}"

    def _name_groups(self, publishes: list[Record]) -> None:
        for line in sorted(publishes, key=lambda line: line["headers"].get("group_index") or 0):
            group = line["headers"].get("group")
            if group:
                self.names.setdefault(group, f"group of {self.names[line['id']]}")

    def _anonymous(self, text: str) -> str:
        text = ADDRESS.sub("0x", SIDE.sub("", text.replace(self._token, "token")))
        return UUID.sub("<id>", text)

    def text(self, text: str) -> str:
        """With names for ids."""
        text = UUID.sub(lambda found: self.names.get(found.group(), "<id>"), text)
        text = self._anonymous(text)
        return text[:SHORT] if "..." in text or "…" in text else text

    def place(self, task_id: str | None, own_id: str) -> str | None:
        """Name of a parent or root. Where chance says which part of a chord it is, all parts have one name."""
        if task_id is None:
            return None
        if task_id == own_id:
            return "itself"
        if task_id in self._parts or task_id in self._chance_roots:
            return "a part of a chord"
        return self.names.get(task_id, "<id>")

    def clean(self, value: Any) -> Any:
        """The same in all of a JSON-like value."""
        if isinstance(value, dict):
            return {self.text(str(key)): self.clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(item) for item in value]
        return self.text(value) if isinstance(value, str) else value
