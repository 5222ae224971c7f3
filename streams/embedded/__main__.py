"""`python -m streams.embedded`: the embedded server in the foreground, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from streams.embedded.server import EmbeddedServer
from streams.errors import ServerUnavailable


@click.command()
@click.option("--dir", "directory", type=click.Path(path_type=Path, file_okay=False), default=Path("var/redis"), show_default=True, help="Its data.")
@click.option("--port", type=int, help="Listen on this port of 127.0.0.1 too (0: any free one).")
def main(directory: Path, port: int | None) -> None:
    """Run a Redis or Valkey server for this machine, and print its URLs."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with EmbeddedServer(directory, port=port) as server:
            click.echo(f"{server.binary} runs with pid {server.pid}, log in {server.log_file}; Ctrl-C stops it")
            click.echo(f"export REDIS_URL='{server.url}'")
            click.echo(f"export CELERY_BROKER_URL='{server.celery_url()}' CELERY_RESULT_BACKEND='{server.celery_url()}'")
            code = server.wait()
            sys.exit(f"error: the server ended by itself, with exit code {code}: see {server.log_file}")
    except ServerUnavailable as exc:
        sys.exit(f"error: {exc}")
    except KeyboardInterrupt:
        click.echo("stopped")


if __name__ == "__main__":
    main()
