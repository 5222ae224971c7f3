"""`celery -A tasks bridge`: a Celery node that reads streams instead of queues."""

from __future__ import annotations

from typing import Any

import click
from celery.bin.base import LOG_LEVEL, CeleryDaemonCommand, CeleryOption
from celery.utils.nodenames import default_nodename, host_format

from bridge.connection import Connection


@click.command(cls=CeleryDaemonCommand)
@click.option("-n", "--hostname", default="bridge@%h", cls=CeleryOption, help_group="Bridge Options", help="Node name.")
@click.option(
    "-c", "--concurrency", default=4, type=click.IntRange(1, 64), cls=CeleryOption, help_group="Bridge Options", help="Results resolved at a time."
)
@click.option("-l", "--loglevel", default="INFO", type=LOG_LEVEL, cls=CeleryOption, help_group="Bridge Options", help="Logging level.")
@click.pass_context
def bridge(ctx: click.Context, /, hostname: str, concurrency: int, loglevel: Any, **_: Any) -> None:
    """Finish tasks inside Celery when their jobs finish on the streams."""
    # Celery loads this module for its list of commands in every process; the rest is for a bridge.
    from bridge.node import StreamBridge
    from bridge.pool import BridgePool
    from bridge.remote_control.inspecting import NodeForStreamWorkers  # whose commands take the place of Celery's
    from streams.errors import SettingsError
    from streams.health import Thresholds

    app = ctx.obj.app
    try:
        connection = Connection.of(app)
        connection.is_bridge = True
        for problem in (*connection.settings.problems(), *Thresholds.load().problems()):
            click.echo(f"Warning: {problem}", err=True)
    except (LookupError, SettingsError) as exc:
        raise click.UsageError(str(exc)) from None
    app.steps["consumer"].add(StreamBridge)
    app.control.mailbox.node_cls = NodeForStreamWorkers
    name = host_format(default_nodename(hostname))
    # A queue of its own that nobody sends to: a bridge takes no task messages.
    node = app.Worker(
        hostname=name,
        pool=BridgePool,
        concurrency=concurrency,
        loglevel=loglevel,
        queues=[f"bridge.{name}"],
        task_events=True,
        without_gossip=True,
        without_mingle=True,
    )
    node.start()
    ctx.exit(node.exitcode or 0)
