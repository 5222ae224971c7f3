"""What a chord's body gets of a bridged part that may fail without failing the chord.

In Celery a part that fails fails its chord. A part that is sent with `chord_part`,

    TolerantChord([render.s(scene).set(chord_part={"scene": scene}) for scene in scenes], album.s())

has its own state as ever (FAILURE, REVOKED), for its caller, its errbacks and Flower; but for its chord it counts as done, with what the task's method
`chord_part` makes of its outcome. A sweep of three hundred thus hands on rows instead of whole results, and one bad member doesn't stop it.

Celery has to count the parts in Redis for that: with another result backend `celery.chord_unlock` joins the results themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from celery import Celery, chord, states
from celery.result import GroupResult

from bridge.errors import RemoteError

CHORD_PART: Final = "chord_part"
"""The header of a part's message; it holds what the task's method of that name is told."""


def part_of(app: Celery, request: Any, state: str, outcome: Any) -> tuple[str, Any]:
    """State and value of a part, as they are counted.

    Args:
        app: whose task it is.
        request: of the part; or of the last task of a chain whose first one failed, which only has its options.
        state: of the part.
        outcome: its result, or its error.
    """
    told = getattr(request, CHORD_PART, None)
    if told is None:
        told = (getattr(request, "headers", None) or {}).get(CHORD_PART)
    task = app.tasks.get(getattr(request, "task", None) or "")
    if not isinstance(told, Mapping) or not hasattr(task, "chord_part"):
        return state, outcome
    return states.SUCCESS, task.chord_part(dict(told), str(request.id), state, outcome)


class Parts(GroupResult):
    """The parts of a tolerant chord: the result of its body has them as its parent, and doesn't raise what they failed with. Their own `get()` does."""

    def maybe_throw(self, callback: Any = None, propagate: bool = True) -> None:  # noqa: FBT001, FBT002 - Celery's signature
        """Nothing: it is in what the body got."""

    maybe_reraise = maybe_throw


class TolerantChord(chord):
    """A chord of parts that may fail: of any other one `get()` raises the error of the first part that did, although the body has its result."""

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """As Celery's."""
        result = super().run(*args, **kwargs)
        result.parent = Parts(result.parent.id, result.parent.results, parent=result.parent.parent, app=result.app)
        return result


def told_error(state: str, error: Any) -> dict[str, Any]:
    """An outcome that is no result: what it was, in words."""
    if isinstance(error, RemoteError):
        return {"type": error.type, "message": error.message}
    return {"type": type(error).__name__, "message": str(error) or state}
