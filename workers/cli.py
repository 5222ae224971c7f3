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
from streams.jobs.orders import MOST_AT_A_TIME
from workers.handlers import HANDLERS
from workers.kernel import hide_from_own_jobs
from workers.naming import worker_name
from workers.services import ENTRY_POINTS, declare_services, handler_modules, import_handlers, services_with_handlers
from workers.settings import WorkerSettings

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class ServiceGroup(click.Group):
    """One subcommand per service; a package of handlers adds its own below it, with a `cli` module."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The services whose handlers are known, then the fixed commands."""
        declare_services()
        return services_with_handlers() + super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Any name is a service: `--import` may say where its handlers are."""
        if (fixed := super().get_command(ctx, cmd_name)) is not None:
            return fixed
        declare_services()
        return _service_command(cmd_name)


def _service_command(name: str) -> click.Group:
    known = handler_modules(name)

    @click.group(name, invoke_without_command=True, help=f"Run jobs of the service {name}.")
    @click.option("--concurrency", "-c", type=click.IntRange(1, MOST_AT_A_TIME), default=1, show_default=True, help="Jobs at a time.")
    @click.option("--import", "imports", multiple=True, metavar="MODULE", help="Module that registers handlers; may be given more than once.")
    @click.option("--hostname", "-n", default=f"{name}@%h", show_default=True, help="Name of the worker; %h, %n and %d as in Celery's.")
    @click.option("--loglevel", default="INFO", show_default=True)
    @click.pass_context
    def start(ctx: click.Context, concurrency: int, imports: tuple[str, ...], hostname: str, loglevel: str) -> None:
        if ctx.invoked_subcommand is None:
            logging.basicConfig(level=loglevel.upper(), format=LOG_FORMAT, stream=sys.stderr)
            modules = (*known, *imports)
            if not modules:
                raise click.UsageError(
                    f"nobody says where the handlers of {name} are: name their module with --import MODULE, or in STREAMS_SERVICES, "
                    f"or as an entry point of {ENTRY_POINTS}"
                )
            try:
                named = worker_name(hostname, name)
            except ValueError as exc:
                raise click.UsageError(f"--hostname: {exc}") from None
            _start_worker(name, concurrency, modules, named)

    for module in known:
        if _has_commands(module):
            for command in importlib.import_module(f"{module}.cli").cli.commands.values():
                start.add_command(command)
    return start


def _has_commands(module: str) -> bool:
    """Whether it is a package with a `cli` module. Imports it, but not when it is no package."""
    try:
        spec = find_spec(module)
        return spec is not None and spec.submodule_search_locations is not None and find_spec(f"{module}.cli") is not None
    except ModuleNotFoundError:  # told when the worker starts
        return False


def _start_worker(name: str, concurrency: int, modules: tuple[str, ...], worker: str) -> None:
    # Heavy, and `run` and `check` don't need it.
    from workers.runtime import WorkerRuntime

    import_handlers(modules)
    service = SERVICES.get(name) or add_service(Service.named(name))
    hide_from_own_jobs()
    settings = WorkerSettings.load()
    settings.make_places()
    for declared in {handler.settings for handler in HANDLERS.values() if handler.settings is not None}:
        for problem in declared.load().problems():
            logger.warning("%s", problem)

    async def work() -> None:
        await WorkerRuntime(service, settings=settings, concurrency=concurrency, imports=modules, name=worker).run()

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

    declare_services()
    names = [service] if service else services_with_handlers()
    modules = imports or tuple(dict.fromkeys(module for name in names for module in handler_modules(name)))
    import_handlers(modules)
    if type_ not in HANDLERS:
        raise click.UsageError(f"no handler for {type_!r}; there are: {', '.join(sorted(HANDLERS)) or 'none'}")
    settings = WorkerSettings.load()
    settings.make_places()
    sys.exit(
        run_locally(type_, sys.stdin.read(), imports=modules, jobs_dir=settings.jobs_dir, artifacts_url=settings.artifacts_url, as_message=as_message)
    )


@cli.group()
def reports() -> None:
    """The pages of runs."""


@reports.command()
def index() -> None:
    """Make the index of all runs anew, from the records in the artifact store (ARTIFACTS_URL), and print where it is."""
    from workers.artifacts import ArtifactStore
    from workers.reports.index import refresh

    settings = WorkerSettings.load()
    settings.make_places()
    click.echo(refresh(ArtifactStore(settings.artifacts_url), from_scratch=True))


def main() -> None:
    """Entry point: errors of ours are told in one paragraph, without a traceback."""
    try:
        cli(prog_name="python -m workers")
    except BridgeSystemError as exc:
        click.echo(f"error: {exc}", err=True)
        sys.exit(2)
