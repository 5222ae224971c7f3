"""`celery -A tasks streams lag`: what each group has still to read."""

from __future__ import annotations

import click
from pydantic import BaseModel, ConfigDict

from bridge.cli.streams.looking import options, show
from streams.health import ConsumerLag, Health, Verdict
from streams.health.checks import lags_of
from streams.health.rules import LAG_KINDS
from streams.health.tables import lag_table


class Lags(BaseModel):
    """What `--json` gives."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    groups: tuple[ConsumerLag, ...]


@click.command()
@options
@click.pass_context
def lag(ctx: click.Context, watch: float | None, *, as_json: bool) -> None:
    """What each group of each stream has still to read and to acknowledge. A lag that isn't known says why.

    Exit code, by the reasons that are about lag: 0 ok, 1 degraded, 2 critical, 3 when the streams' server can't be asked.
    """
    show(
        ctx,
        watch=watch,
        as_json=as_json,
        judged=lambda found: Health(verdict=found.verdict.only(LAG_KINDS), snapshot=found.snapshot),
        table=lag_table,
        data=lambda found: Lags(verdict=found.verdict, groups=lags_of(found.snapshot)),
    )
