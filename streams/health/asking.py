"""Many reads in one round trip."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import redis

from streams.bus.functions import FunctionCall


class Questions:
    """Reads that go to the server together. Each has a name; a read that the server refuses is answered by its error, and holds up no other."""

    def __init__(self, client: redis.Redis) -> None:
        self._pipe = client.pipeline(transaction=False)
        self._names: list[Hashable] = []
        self._parse: dict[Hashable, Callable[[Any], Any]] = {}

    def ask(self, name: Hashable) -> Any:
        """The pipeline, for exactly one command."""
        self._names.append(name)
        return self._pipe

    def call(self, name: Hashable, step: FunctionCall[Any]) -> None:
        """A step of the function library, which must only read."""
        self._parse[name] = step.parse
        self.ask(name).fcall(*step.command())

    def answers(self) -> Answers:
        """What the server says.

        Raises:
            one of CONNECTION_ERRORS: it can't be asked now.
        """
        replies = self._pipe.execute(raise_on_error=False) if self._names else []
        return Answers(
            {
                name: self._parse[name](reply) if name in self._parse and not isinstance(reply, Exception) else reply
                for name, reply in zip(self._names, replies, strict=True)
            }
        )


class Answers:
    """By the names of the questions."""

    def __init__(self, replies: dict[Hashable, Any]) -> None:
        self._replies = replies

    def get(self, name: Hashable, default: Any = None) -> Any:
        """The answer; `default` when it was refused, is nil, or wasn't asked for."""
        reply = self._replies.get(name)
        return default if reply is None or isinstance(reply, Exception) else reply

    def refusal(self, name: Hashable) -> str:
        """Why the server refused; "" when it didn't."""
        reply = self._replies.get(name)
        return str(reply) if isinstance(reply, Exception) else ""

    def must(self, name: Hashable) -> Any:
        """The answer.

        Raises:
            redis.ResponseError: the server refused.
        """
        reply = self._replies[name]
        if isinstance(reply, Exception):
            raise reply
        return reply
