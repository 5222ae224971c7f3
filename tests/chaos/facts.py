"""What the system says of each job when all is done: its result, its ledger, its dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.acceptance.stack import Stack
from tests.chaos.judging import Facts
from tests.chaos.outcomes import Outcomes
from tests.chaos.workload import MAX_DELIVERIES


def facts_of(
    stack: Stack,
    outcomes: Outcomes,
    task_ids: Iterable[str],
    *,
    cancel_answers: Mapping[str, tuple[str, ...]],
    redrives: Mapping[str, int],
    runs: Mapping[str, int],
) -> dict[str, Facts]:
    """Of each job, by its task id."""
    ids = list(task_ids)
    metas, used_up = outcomes.metas(ids), _used_up(stack)

    def facts(task_id: str) -> Facts:
        known: dict[str, str] = stack.redis.hgetall(stack.keys.task(task_id))  # type: ignore[assignment]
        publishes = [publish_id for field, publish_id in known.items() if field.startswith("publish:")]
        return Facts(
            **_stored(metas[task_id]),
            publishes=len(publishes),
            other_ends=tuple(outcomes.heard[task_id]),
            cancel_answers=cancel_answers.get(task_id, ()),
            cancel_in_ledger=any(stack.redis.hexists(stack.keys.job(each), "cancel") for each in publishes),
            is_used_up=task_id in used_up,
            runs=runs.get(task_id, 0),
            redrives=redrives.get(task_id, 0),
        )

    return {each: facts(each) for each in ids}


def _stored(meta: dict[str, Any]) -> dict[str, Any]:
    """What the result backend has."""
    status, result = meta.get("status", "PENDING"), meta.get("result")
    result = result if isinstance(result, dict) else {}
    return {"status": status, "value": result.get("value")} if status == "SUCCESS" else {"status": status, "error": result.get("exc_type", "")}


def _used_up(stack: Stack) -> set[str]:
    return {letter["task_id"] for letter in stack.dead_letters() if int(letter.get("deliveries", 0)) >= MAX_DELIVERIES}
