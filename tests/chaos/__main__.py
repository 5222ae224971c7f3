"""`make chaos`: run it, write the page, exit 1 when a number that must be 0 isn't."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click

from tests import servers
from tests.chaos.performance import perform
from tests.chaos.report import complaints
from tests.chaos.scorecard import page

FAULTS_A_MINUTE = 30


@click.command()
@click.option("--seed", type=int, default=None, help="What is sent and what goes wrong; random when not given.")
@click.option("--jobs", default=2_800, show_default=True, help="At least so many.")
@click.option("--minutes", default=8.0, show_default=True, help="That jobs and faults are spread over.")
@click.option("--faults", default=None, type=int, help=f"So many; {FAULTS_A_MINUTE} a minute when not given.")
@click.option("--server", default="default", type=click.Choice([name for name in servers.CHOICES if name != "all"]), show_default=True)
@click.option("--output", default="docs/chaos.md", show_default=True, type=click.Path(path_type=Path))
@click.option(
    "--directory", default=None, type=click.Path(path_type=Path), help="For logs and data; kept. Else a temporary one, kept when something isn't 0."
)
def main(seed: int | None, jobs: int, minutes: float, faults: int | None, server: str, output: Path, directory: Path | None) -> None:
    """Break everything, again and again, and count what is lost."""
    began = time.monotonic()
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    number = round(FAULTS_A_MINUTE * minutes) if faults is None else faults
    where = directory or Path(tempfile.mkdtemp(prefix="chaos-"))
    if directory is not None and directory.exists() and any(directory.iterdir()):
        raise click.UsageError(f"{directory} isn't empty: what is left of another run would be judged with this one")
    print(f"seed {seed}: {jobs} jobs and {number} faults in {minutes:g} minutes; logs in {where}", flush=True)
    command = f"make chaos SEED={seed} JOBS={jobs} MINUTES={minutes:g}" + ("" if faults is None else f" FAULTS={faults}")
    report = perform(
        where,
        seed=seed,
        jobs=jobs,
        number_of_faults=number,
        seconds=minutes * 60,
        command=command,
        say=lambda text: print(f"{time.monotonic() - began:6.0f} s  {text}", flush=True),
        binary=servers.find(server),
    )
    output.write_text(page(report))
    print(f"the scorecard is in {output}")
    for line in complaints(report):
        print(line)
    if report.is_clean and directory is None:
        shutil.rmtree(where)
    sys.exit(0 if report.is_clean else 1)


if __name__ == "__main__":
    main()
