"""`python -m workers <service>` starts a worker; `python -m workers run <type>` runs one job without Redis."""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
from importlib.util import find_spec

import click

from streams.bus.topology import SERVICES, Service, add_service
from streams.errors import BridgeSystemError
from workers.handlers import HANDLERS
from workers.kernel import hide_from_own_jobs
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class ServiceGroup(click.Group):
    """One subcommand per service of the topology; the package `workers.<service>` adds its own below it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The services, then the fixed commands."""
        return sorted(name for name in SERVICES if find_spec(f"workers.{name}")) + super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Any name is a service: `--import` says where its handlers are."""
        return super().get_command(ctx, cmd_name) or _service_command(cmd_name)


def _service_command(name: str) -> click.Group:
    package = f"workers.{name}" if find_spec(f"workers.{name}") else None

    @click.group(name, invoke_without_command=True, help=f"Run jobs of the service {name}.")
    @click.option("--concurrency", "-c", type=click.IntRange(1, 256), default=1, show_default=True, help="Jobs at a time, one child process each.")
    @click.option("--import", "imports", multiple=True, metavar="MODULE", help="Module that registers handlers; may be given more than once.")
    @click.option("--loglevel", default="INFO", show_default=True)
    @click.pass_context
    def start(ctx: click.Context, concurrency: int, imports: tuple[str, ...], loglevel: str) -> None:
        if ctx.invoked_subcommand is None:
            logging.basicConfig(level=loglevel.upper(), format=LOG_FORMAT, stream=sys.stderr)
            modules = (*((package,) if package else ()), *imports)
            if not modules:
                raise click.UsageError(f"{name} is no service of this package; name the module of its handlers: --import MODULE")
            _start_worker(name, concurrency, modules)

    if package and find_spec(f"{package}.cli"):
        for command in importlib.import_module(f"{package}.cli").cli.commands.values():
            start.add_command(command)
    return start


def _start_worker(name: str, concurrency: int, modules: tuple[str, ...]) -> None:
    # Heavy, and `run` and `check` don't need it.
    from workers.runtime import WorkerRuntime

    for module in modules:
        importlib.import_module(module)
    service = SERVICES.get(name) or add_service(Service.named(name))
    hide_from_own_jobs()
    settings = WorkerSettings.load()
    settings.make_places()
    for declared in {handler.settings for handler in HANDLERS.values() if handler.settings is not None}:
        for problem in declared.load().problems():
            logger.warning("%s", problem)

    async def work() -> None:
        await WorkerRuntime(service, settings=settings, concurrency=concurrency, imports=modules).run()

    asyncio.run(work())


@click.group(cls=ServiceGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Workers: run long jobs that Celery tasks sent onto Redis Streams."""


@cli.command("run")
@click.argument("type_", metavar="TYPE")
@click.option("--import", "imports", multiple=True, metavar="MODULE", help="Module that registers the handler.")
@click.option("--service", help="Take the handlers of this service only.")
@click.option("--as-message", is_flag=True, help="Write what a worker would send (the fields of a Result), also when the job failed.")
def run_one(type_: str, imports: tuple[str, ...], service: str | None, *, as_message: bool) -> None:
    """Run one job of TYPE without Redis: a command (or just its data) as JSON on stdin, the result as JSON on stdout."""
    from workers.local_run import run_locally

    modules = imports or tuple(f"workers.{name}" for name in SERVICES if service in {None, name} and find_spec(f"workers.{name}"))
    for module in modules:
        importlib.import_module(module)
    if type_ not in HANDLERS:
        raise click.UsageError(f"no handler for {type_!r}; there are: {', '.join(sorted(HANDLERS)) or 'none'}")
    settings = WorkerSettings.load()
    settings.make_places()
    sys.exit(
        run_locally(type_, sys.stdin.read(), imports=modules, jobs_dir=settings.jobs_dir, artifacts_url=settings.artifacts_url, as_message=as_message)
    )


def main() -> None:
    """Entry point: errors of ours are told in one paragraph, without a traceback."""
    try:
        cli(prog_name="python -m workers")
    except BridgeSystemError as exc:
        click.echo(f"error: {exc}", err=True)
        sys.exit(2)
