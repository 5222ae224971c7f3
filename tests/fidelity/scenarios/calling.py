"""Calling: delay, apply_async and its options, signatures, arguments."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from typing import Any

from tests.fidelity.kit import Kit, scenario
from tests.fidelity.work import Order


@scenario
def delay_with_positional_and_keyword_arguments(kit: Kit) -> Any:
    return [kit.outcome(kit.add.delay(1, 2)), kit.outcome(kit.add.delay(1, y=2)), kit.outcome(kit.add.delay(x=1, y=2))]


@scenario
def keyword_only_arguments(kit: Kit) -> Any:
    return [kit.outcome(kit.keywords.delay(a=1)), kit.outcome(kit.keywords.apply_async(kwargs={"a": 1, "b": 5}))]


@scenario
def any_arguments(kit: Kit) -> Any:
    return kit.outcome(kit.anything.delay(1, [2], {"three": 3}, four="4", five=None))


@scenario
def a_bound_task(kit: Kit) -> Any:
    return [kit.outcome(kit.bound.delay(2, 3)), kit.attempt(lambda: kit.bound.delay(2))]


@scenario
def wrong_arguments_are_refused_before_anything_is_sent(kit: Kit) -> Any:
    return [
        kit.attempt(lambda: kit.add.delay(1)),
        kit.attempt(lambda: kit.add.delay(1, 2, 3)),
        kit.attempt(lambda: kit.add.delay(1, z=3)),
        kit.attempt(lambda: kit.keywords.delay(1)),
        kit.attempt(lambda: kit.add.apply_async(1)),
    ]


@scenario
def wrong_arguments_without_typing_fail_in_the_worker(kit: Kit) -> Any:
    return kit.outcome(kit.loose.delay(1))["error"]


@scenario
def wrong_arguments_of_a_chains_next_task(kit: Kit) -> Any:
    """Found out where the head ended: the task is sent without a check."""
    last = (kit.echo.s(1) | kit.add.s(2, 3)).apply_async()
    return kit.outcome(last)["error"]


@scenario
def a_value_that_is_no_json_is_refused(kit: Kit) -> Any:
    return kit.attempt(lambda: kit.echo.delay(object()))["error"]


@scenario
def countdown_waits(kit: Kit) -> Any:
    began = time.monotonic()
    return [kit.outcome(kit.echo.apply_async(("later",), countdown=0.5)), time.monotonic() - began >= 0.5]


@scenario
def eta_waits(kit: Kit) -> Any:
    began = time.monotonic()
    eta = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=0.5)
    return [kit.outcome(kit.echo.apply_async(("later",), eta=eta)), time.monotonic() - began >= 0.4]


@scenario
def eta_in_the_past_is_now(kit: Kit) -> Any:
    return kit.outcome(kit.echo.apply_async(("at once",), eta=dt.datetime(2020, 1, 1, tzinfo=dt.UTC)))


@scenario
def a_task_id_of_the_callers_own(kit: Kit) -> Any:
    task_id = str(uuid.uuid4())
    result = kit.echo.apply_async(("mine",), task_id=task_id)
    return [kit.outcome(result), result.id == task_id]


@scenario
def a_shadow_name(kit: Kit) -> Any:
    return kit.seen(kit.echo.apply_async(("shadowed",), shadow="somebody else"))


@scenario
def headers_of_the_callers_own(kit: Kit) -> Any:
    return kit.seen(kit.echo.apply_async(("headed",), headers={"tenant": "t1", "trace": {"a": 1}}))


@scenario
def headers_that_a_user_may_have_named_like_ours(kit: Kit) -> Any:
    return kit.seen(kit.echo.apply_async(("headed",), headers={"ctx": "mine", "phase": "open", "service": "none"}))


@scenario
def a_queue_by_name(kit: Kit) -> Any:
    return kit.seen(kit.echo.apply_async(("queued",), queue="celery"))


@scenario
def a_routing_key_and_priority(kit: Kit) -> Any:
    return kit.seen(kit.echo.apply_async(("routed",), routing_key="celery", priority=5))


@scenario
def a_retry_policy_for_publishing(kit: Kit) -> Any:
    policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.1}
    return kit.seen(kit.echo.apply_async(("published",), retry=True, retry_policy=policy))


@scenario
def without_retry_for_publishing(kit: Kit) -> Any:
    return kit.outcome(kit.echo.apply_async(("published",), retry=False))


@scenario
def time_limits_that_are_not_reached(kit: Kit) -> Any:
    return kit.seen(kit.echo.apply_async(("in time",), time_limit=30, soft_time_limit=20))


@scenario
def a_frozen_signature_sent_twice_runs_twice(kit: Kit) -> Any:
    signature = kit.anything.s("again")
    signature.freeze()
    first = signature.apply_async()
    kit.wait_until_done(first)
    second = signature.apply_async()
    kit.wait_until_done(second, times=2)
    return [kit.outcome(first), kit.outcome(second), first.id == second.id]


@scenario
def one_task_id_sent_twice_runs_twice(kit: Kit) -> Any:
    task_id = str(uuid.uuid4())
    results = [kit.echo.apply_async((n,), task_id=task_id) for n in (1, 1)]
    kit.wait_until_done(results[0], times=2)
    return kit.seen(results[0])


@scenario
def partial_signatures_and_clones(kit: Kit) -> Any:
    signature = kit.add.s(2)
    clone = signature.clone(args=(1,))
    return [kit.outcome(signature.delay(10)), kit.outcome(clone.apply_async()), signature.args, clone.args]


@scenario
def immutable_signatures_take_nothing(kit: Kit) -> Any:
    return [kit.outcome(kit.add.si(1, 2).delay(5)), kit.outcome(kit.add.signature((1, 2), immutable=True).apply_async((9,)))]


@scenario
def signature_options_are_used(kit: Kit) -> Any:
    signature = kit.echo.s("optioned").set(headers={"a": 1}, priority=2, shadow="other", countdown=0.05)
    return kit.seen(signature.apply_async())


@scenario
def a_signature_through_json(kit: Kit) -> Any:
    import json

    signature = kit.app.signature(json.loads(json.dumps(kit.add.s(1, 2))))
    return kit.outcome(signature.apply_async())


@scenario
def send_task_by_name(kit: Kit) -> Any:
    return kit.seen(kit.app.send_task(kit.add.name, (4, 5)))


@scenario
def send_task_with_wrong_arguments(kit: Kit) -> Any:
    return kit.outcome(kit.app.send_task(kit.add.name, (4,)))["error"]


@scenario
def retrying_a_signature_from_a_request(kit: Kit) -> Any:
    return kit.outcome(kit.add.signature_from_request is not None and kit.add.subtask((1, 2)).delay())


@scenario
def pydantic_arguments_and_result(kit: Kit) -> Any:
    return [kit.seen(kit.order.delay({"item": "bolt", "amount": 3})), kit.seen(kit.order.delay(Order(item="nut")))]


@scenario(differences=("payload",))
def pydantic_refuses_in_the_worker(kit: Kit) -> Any:
    return kit.seen(kit.order.delay({"amount": "many"}))


@scenario(differences=("payload",))
def pydantic_strict(kit: Kit) -> Any:
    return [
        kit.outcome(kit.strict_order.delay({"item": "bolt", "amount": 3})),
        kit.seen(kit.strict_order.delay({"item": "x", "amount": "3"})),
    ]


@scenario
def tasks_that_send_no_events(kit: Kit) -> Any:
    result = kit.unsent.delay("unsent")
    kit.silent.add(result.id)
    return kit.seen(result)


@scenario
def a_rate_limited_task(kit: Kit) -> Any:
    return [kit.outcome(result) for result in [kit.limited_rate.delay(n) for n in range(3)]]


@scenario
def many_at_once(kit: Kit) -> Any:
    return [kit.outcome(result) for result in [kit.plain_echo.delay(n) for n in range(20)]]
