"""What an operator does with a dead letter, as `streams dead redrive` and `discard` do it."""

from __future__ import annotations

from bridge.dead_letters.letters import Filter, Letter, LetterState, dead_letters
from bridge.dead_letters.redriving import discard, redrive
from tests.acceptance.stack import Stack


def redrive_letter(stack: Stack, task_id: str) -> bool:
    """Run the job of its newest dead letter again; False when that can't be done yet. Done twice, as by two operators at once.

    Raises:
        redis.RedisError: the server is away; the same again is safe.
    """
    connection, letter = stack.caller.streams_connection, _newest(stack, task_id)
    if letter is None:
        return False
    first = redrive(connection, letter)
    if not (first.done or "before" in first.words):
        return False
    again = redrive(connection, letter)
    assert not again.done, again.words
    return True


def discard_letter(stack: Stack, task_id: str) -> bool:
    """Let its task fail; False when that can't be done yet."""
    letter = _newest(stack, task_id)
    return letter is not None and (discard(stack.caller.streams_connection, letter).done or letter.state is LetterState.FAILED)


def _newest(stack: Stack, task_id: str) -> Letter | None:
    letters = list(dead_letters(stack.caller.streams_connection, Filter(ids=frozenset({task_id}))))
    return letters[-1] if letters else None
