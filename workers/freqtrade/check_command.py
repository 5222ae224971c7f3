"""`check --config config.json`: what a kind of job makes of each key of a config. Each service's command line has it, with its own table of keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from workers.freqtrade.config.keys import Section
from workers.freqtrade.config.policy import JudgedConfig, judge

COLOURS = {"used": "green", "ignored": "yellow", "refused": "red"}


def check_command(section: Section, job: str) -> click.Command:
    """The command.

    Args:
        section: the table of keys.
        job: what it is for, such as "a backtest".
    """

    @click.command(
        "check", help=f"Say for each key of a config whether {job} uses it, ignores it or refuses it, and why. Exits with 1 when one is refused."
    )
    @click.option("--config", "file", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Your freqtrade config.json.")
    def check(file: Path) -> None:
        judged = judge_file(file, section)
        Console().print(_table(judged, job))
        if judged.refused:
            raise SystemExit(1)

    return check


def judge_file(file: Path, section: Section) -> JudgedConfig:
    """Judge a config file of freqtrade's: JSON with comments and trailing commas."""
    import rapidjson

    try:
        config: Any = rapidjson.loads(file.read_text(encoding="utf-8"), parse_mode=rapidjson.PM_COMMENTS | rapidjson.PM_TRAILING_COMMAS)
    except rapidjson.JSONDecodeError as exc:
        raise click.ClickException(f"{file} is no JSON: {exc}") from exc
    if not isinstance(config, dict):
        raise click.ClickException(f"{file} holds no object")
    try:
        from freqtrade import __version__

        from workers.freqtrade.config.values import known_keys
    except ModuleNotFoundError:  # the tables do without it, only less precisely
        return judge(config, section)
    return judge(config, section, known=known_keys(), version=__version__)


def _table(judged: JudgedConfig, job: str) -> Table:
    table = Table("key", f"in {job}", "why", title=f"config of {job}")
    for item in sorted(judged.judgements, key=lambda item: list(COLOURS).index(item.verdict.value)):
        table.add_row(item.key, f"[{COLOURS[item.verdict.value]}]{item.verdict.value}", item.reason)
    return table
