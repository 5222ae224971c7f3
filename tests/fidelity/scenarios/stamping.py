"""Stamps: headers that go along with a workflow, and show in results."""

from __future__ import annotations

from typing import Any

from celery import chain, chord, group
from celery.canvas import StampingVisitor

from tests.fidelity.kit import Kit, scenario


class Tenant(StampingVisitor):
    """One stamp for every task."""

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return {"tenant": "t1", "stamped_headers": ["tenant"]}


class Monitoring(StampingVisitor):
    """A header that isn't listed as a stamp, and a stamp that is."""

    def on_signature(self, sig: Any, **headers: Any) -> dict[str, Any]:
        return {"monitored": True, "kind": "test", "stamped_headers": ["kind"]}


def stamps(kit: Kit, result: Any) -> Any:
    meta = kit.app.backend.get_task_meta(result.id)
    return {name: meta.get(name) for name in ("stamped_headers", "tenant", "kind", "stamps")}


@scenario
def a_stamped_task(kit: Kit) -> Any:
    signature = kit.echo.s("stamped")
    signature.stamp(Tenant())
    result = signature.apply_async()
    return [kit.seen(result), stamps(kit, result)]


@scenario
def stamped_by_keywords(kit: Kit) -> Any:
    signature = kit.echo.s("stamped")
    signature.stamp(tenant="t9")
    result = signature.apply_async()
    return [kit.seen(result), stamps(kit, result)]


@scenario
def stamped_when_sent(kit: Kit) -> Any:
    result = kit.echo.s("stamped").apply_async(stamped_headers=["tenant"], tenant="t5")
    return [kit.seen(result), stamps(kit, result)]


@scenario
def a_stamped_chain(kit: Kit) -> Any:
    workflow = chain(kit.echo.s(1), kit.add.s(2), kit.add.s(3))
    workflow.stamp(Tenant())
    last = workflow.apply_async()
    return [kit.seen(last), [stamps(kit, each) for each in (last.parent.parent, last.parent, last)]]


@scenario
def a_stamped_group(kit: Kit) -> Any:
    workflow = group(kit.echo.s(n) for n in range(3))
    workflow.stamp(Tenant())
    result = workflow.apply_async()
    return [kit.ended(result), [stamps(kit, each) for each in result]]


@scenario
def a_stamped_chord(kit: Kit) -> Any:
    workflow = chord([kit.echo.s(1), kit.echo.s(2)], kit.total.s())
    workflow.stamp(Tenant())
    result = workflow.apply_async()
    return [kit.seen(result), stamps(kit, result)]


@scenario
def stamps_and_other_headers(kit: Kit) -> Any:
    workflow = chain(kit.echo.s(1), kit.add.s(2))
    workflow.stamp(Monitoring())
    last = workflow.apply_async()
    return [kit.seen(last), stamps(kit, last)]


@scenario
def two_visitors(kit: Kit) -> Any:
    workflow = chain(kit.echo.s(1), kit.add.s(2))
    workflow.stamp(Tenant())
    workflow.stamp(Monitoring())
    last = workflow.apply_async()
    return [kit.seen(last), stamps(kit, last)]


@scenario
def a_stamped_links(kit: Kit) -> Any:
    signature = kit.echo.s("linked")
    signature.link(kit.echo.s())
    signature.link_error(kit.common("note").s())
    signature.stamp(Tenant())
    return kit.ended(signature.apply_async())


@scenario
def stamps_survive_retries(kit: Kit) -> Any:
    signature = kit.retried.s(kit.key(), 2)
    signature.stamp(Tenant())
    result = signature.apply_async()
    return [kit.seen(result), stamps(kit, result)]


@scenario
def stamps_go_to_what_replaces(kit: Kit) -> Any:
    signature = kit.replaced.s(kit.echo.s("instead"))
    signature.stamp(Tenant())
    result = signature.apply_async()
    return [kit.seen(result), stamps(kit, result)]
