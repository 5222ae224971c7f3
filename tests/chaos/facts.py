"""What the system says of each job when all is done: its result, its ledger, its dead letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.acceptance.stack import Stack
from tests.chaos.judging import Facts
from tests.chaos.outcomes import Outcomes
from tests.chaos.workload import MAX_DELIVERIES


def facts_of(
    stack: Stack, outcomes: Outcomes, task_ids: Iterable[str], *, cancel_answers: Mapping[str, tuple[str, ...]], redrives: Mapping[str, int]
) -> dict[str, Facts]:
    """Of each job, by its task id."""
    ids = list(task_ids)
    metas, used_up = outcomes.metas(ids), _used_up(stack)
    return {each: _facts(stack, each, metas[each], outcomes, cancel_answers.get(each, ()), each in used_up, redrives.get(each, 0)) for each in ids}


def _facts(
    stack: Stack, task_id: str, meta: dict[str, Any], outcomes: Outcomes, cancel_answers: tuple[str, ...], is_used_up: bool, redrives: int
) -> Facts:
    status, result = meta.get("status", "PENDING"), meta.get("result")
    known: dict[str, str] = stack.redis.hgetall(stack.keys.task(task_id))  # type: ignore[assignment]
    publishes = [publish_id for field, publish_id in known.items() if field.startswith("publish:")]
    return Facts(
        status=status,
        value=result.get("value") if status == "SUCCESS" and isinstance(result, dict) else None,
        error=result.get("exc_type", "") if status != "SUCCESS" and isinstance(result, dict) else "",
        publishes=len(publishes),
        other_ends=tuple(outcomes.heard[task_id]),
        cancel_answers=cancel_answers,
        cancel_in_ledger=any(stack.redis.hexists(stack.keys.job(each), "cancel") for each in publishes),
        is_used_up=is_used_up,
        redrives=redrives,
    )


def _used_up(stack: Stack) -> set[str]:
    return {letter["task_id"] for letter in stack.dead_letters() if int(letter.get("deliveries", 0)) >= MAX_DELIVERIES}
