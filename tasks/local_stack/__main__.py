"""`python -m tasks.local_stack`: the whole system in the foreground, until Ctrl-C. `make up` calls it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import click

from examples.user_data import example_environment
from streams.errors import BridgeSystemError
from tasks.local_stack.foreground import run_in_foreground
from tasks.local_stack.process import REPOSITORY
from tasks.local_stack.programs import Side, default_programs
from tasks.local_stack.stack import GRACE_SECONDS, LocalStack


@click.command()
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path, file_okay=False), default=REPOSITORY / "var", help="For data and artifacts.  [default: var]"
)
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Run only this process (celery, beat, bridge, backtesting, freqai, hyperopt, data, flower); may be repeated.",
)
@click.option("--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Backtests at a time.")
@click.option("--grace", "grace_seconds", type=float, default=GRACE_SECONDS, show_default=True, help="Seconds between SIGTERM and SIGKILL.")
def main(directory: Path, only: tuple[str, ...], concurrency: int, grace_seconds: float) -> None:
    """Run a server (or use REDIS_URL), a Celery worker, beat, the bridge, a worker of each research service and Flower."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        stack = LocalStack(directory, only=only or None, concurrency=concurrency, grace_seconds=grace_seconds, environment=_inputs(directory))
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--only") from None
    try:
        stack.prepare()
        click.echo("For a caller in another terminal:")
        for name, value in stack.client_environment.items():
            click.echo(f"  export {name}='{value}'")
        for process in stack.processes.values():
            if process.url is not None:
                click.echo(f"{process.name.capitalize()}: {process.url}")
        click.echo("Ctrl-C stops everything.")
        sys.exit(run_in_foreground(stack))
    except BridgeSystemError as exc:
        sys.exit(f"error: {exc}")
    except KeyboardInterrupt:
        pass
    finally:
        stack.stop()


def _inputs(directory: Path) -> dict[str, dict[str, str]]:
    """Where the workers find strategies and candles: the user's own, else those of the examples."""
    if any(name.startswith("FREQTRADE_") for name in os.environ) or Path("user_data/strategies").is_dir():
        return {}
    click.echo("No user_data here, and no FREQTRADE_USER_DATA: jobs use the example strategies and seeded candles.")
    inputs = example_environment()
    return {program.name: inputs for program in default_programs(directory) if program.side is Side.WORKER}


if __name__ == "__main__":
    main()
