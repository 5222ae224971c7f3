"""`celery -A tasks streams dead ...`: dead letters, seen and dealt with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

import click

from bridge.cli.durations import Duration, in_words
from bridge.cli.streams import connection_of
from bridge.connection import Connection
from bridge.dead_letters.letters import Filter, Letter, LetterState, dead_letters, newest_of_each
from bridge.dead_letters.payload_changes import BadChange, parse_changes
from bridge.dead_letters.redriving import Done, Insists, discard, kept, purge, redrive, refusal
from streams.bus.clock import utc_now
from streams.bus.codec import shown
from streams.errors import UnknownService

F = TypeVar("F", bound=Callable[..., Any])
SHOWN_LINE_CHARS = 160
SHOWN_CELL_CHARS = 60


def _filtered(function: F) -> F:
    """The options that say which dead letters are meant."""
    for option in (
        click.option("--service", "services", multiple=True, help="Of this service; may be given more than once."),
        click.option("--reason", help="exhausted, poison, uncertain, undecodable, unknown_type, oversize or expired."),
        click.option("--error", help="Part of the error's type or message."),
        click.option("--older-than", type=Duration(), help="Such as 7d."),
        click.option("--newer-than", type=Duration(), help="Such as 1h."),
    ):
        function = option(function)
    return function


def _chosen(function: F) -> F:
    """The options of what changes something."""
    for option in (
        click.argument("ids", nargs=-1, metavar="[ID]..."),
        click.option("--all", "everything", is_flag=True, help="All that the filters let through, and that there is something to be done with."),
        click.option("--dry-run", is_flag=True, help="Only say what would be done."),
    ):
        function = option(function)
    return _filtered(function)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def dead() -> None:
    """Dead letters: commands that no worker could bring to an end. ID is that of a dead letter, or of its task."""


@dead.command("list")
@_filtered
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="At most so many, the oldest first.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@click.pass_context
def list_(ctx: click.Context, /, *, limit: int, as_json: bool, **filters: Any) -> None:
    """Show dead letters, and how the task of each stands."""
    letters = list(islice(_found(ctx, connection_of(ctx), _filter((), **filters)), limit + 1))
    more = len(letters) > limit
    if as_json:
        for letter in letters[:limit]:
            click.echo(json.dumps(letter.as_json()))
        return
    if not letters:
        click.echo("no dead letters")
        return
    _print_table(letters[:limit])
    if more:
        click.echo(f"there are more than {limit}: --limit, or filter them")


@dead.command()
@click.argument("id_", metavar="ID")
@click.option("--json", "as_json", is_flag=True)
@click.pass_context
def show(ctx: click.Context, /, *, id_: str, as_json: bool) -> None:
    """Show one with its payload and its error."""
    connection = connection_of(ctx)
    letters = list(_found(ctx, connection, Filter(ids=frozenset({id_}))))
    if not letters:
        raise click.ClickException(f"no dead letter of that id, and none of a task of that id: {id_}")
    for letter in letters:
        click.echo(json.dumps(letter.as_json()) if as_json else _described(letter))


@dead.command("redrive")
@_chosen
@click.option("--set", "assignments", multiple=True, metavar="data.KEY=VALUE", help="Change the payload, such as data.config.timerange=20250101-.")
@click.option("--uncertain", is_flag=True, help="Also what may run once only and may have done its work. Look first.")
@click.option("--unbridged", is_flag=True, help="Also what no task of ours has sent: only its worker says what it was. Look first.")
@click.pass_context
def redrive_(
    ctx: click.Context,
    /,
    *,
    ids: tuple[str, ...],
    everything: bool,
    dry_run: bool,
    assignments: tuple[str, ...],
    uncertain: bool,
    unbridged: bool,
    **filters: Any,
) -> None:
    """Run jobs again under their task ids: the same AsyncResult gets the new outcome. Of a task's retries the newest is sent again."""
    connection, insists = connection_of(ctx), Insists(uncertain=uncertain, unbridged=unbridged)
    try:
        changes = parse_changes(assignments)
    except BadChange as exc:
        raise click.UsageError(str(exc)) from None

    def would(letter: Letter) -> Done:
        why_not = refusal(letter, insists)
        return Done(letter, done=why_not is None, words=why_not or "would be sent again")

    def do(letter: Letter) -> Done:
        try:
            return redrive(connection, letter, changes=changes, insists=insists)
        except BadChange as exc:
            return Done(letter, done=False, words=str(exc))

    _each(ctx, ids, filters, would if dry_run else do, everything=everything, choose=lambda letters: _newest_or_named(letters, ids))


@dead.command("discard")
@_chosen
@click.pass_context
def discard_(ctx: click.Context, /, *, ids: tuple[str, ...], everything: bool, dry_run: bool, **filters: Any) -> None:
    """Let parked tasks fail: errbacks are called, chords and chains go on to their ends."""
    connection = connection_of(ctx)

    def would(letter: Letter) -> Done:
        parked = letter.state is LetterState.PARKED
        return Done(letter, done=parked, words="its task would fail" if parked else f"its task isn't parked but {letter.state}")

    _each(ctx, ids, filters, would if dry_run else lambda letter: discard(connection, letter), everything=everything)


@dead.command("purge")
@_chosen
@click.pass_context
def purge_(ctx: click.Context, /, *, ids: tuple[str, ...], everything: bool, dry_run: bool, **filters: Any) -> None:
    """Remove dead letters. What a parked task waits for stays."""
    connection = connection_of(ctx)

    def would(letter: Letter) -> Done:
        why_not = kept(letter)
        return Done(letter, done=why_not is None, words=why_not or "would be removed")

    _each(ctx, ids, filters, would if dry_run else lambda letter: purge(connection, letter), everything=everything)


def _newest_or_named(letters: Sequence[Letter], ids: Iterable[str]) -> list[Letter]:
    """What is to be redriven: one of the same task is enough, unless it is named itself; and of all, what isn't settled."""
    named, newest = set(ids), {letter.id for letter in newest_of_each(letters)}
    return [letter for letter in letters if letter.id in named or (letter.id in newest and (named or not letter.is_settled))]


def _filter(ids: Iterable[str], services: tuple[str, ...], **filters: Any) -> Filter:
    return Filter(services=services, ids=frozenset(ids), **filters)


def _found(ctx: click.Context, connection: Connection, wanted: Filter) -> Iterable[Letter]:
    try:
        yield from dead_letters(connection, wanted)
    except UnknownService as exc:
        raise click.UsageError(str(exc), ctx) from None


def _each(
    ctx: click.Context,
    ids: tuple[str, ...],
    filters: dict[str, Any],
    do: Callable[[Letter], Done],
    *,
    everything: bool,
    choose: Callable[[Sequence[Letter]], list[Letter]] = list,
) -> None:
    """Do it with each that is meant; the exit code is 1 when one that was named couldn't be dealt with, or isn't there."""
    if bool(ids) == everything:
        raise click.UsageError("say which: their ids, or --all and what narrows it down (see `streams dead list`)", ctx)
    found = list(_found(ctx, connection_of(ctx), _filter(ids, **filters)))  # first all, as it changes what is found
    missing = set(ids) - {letter.id for letter in found} - {letter.task_id for letter in found}
    done = [do(letter) for letter in choose(found)]
    for each in done:
        click.echo(shown(f"{'' if each.done else 'not '}{each.letter.service.name} {each.letter.id}: {each.words}"))
    for id_ in sorted(missing):
        click.echo(f"not {id_}: no dead letter of that id, and none of a task of that id", err=True)
    click.echo(f"{sum(each.done for each in done)} of {len(done) + len(missing)}")
    if missing or (ids and not all(each.done for each in done)):
        ctx.exit(1)


def _print_table(letters: list[Letter]) -> None:
    """Two lines each, so that ids aren't cut in a narrow terminal."""
    now = utc_now()
    header = ("id", "age", "service", "type", "reason", "its task")
    rows = [
        tuple(map(_cell, (letter.id, in_words(now - letter.at), letter.service.name, letter.fields.get("type", ""), _reason(letter), _state(letter))))
        for letter in letters
    ]
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(row: tuple[str, ...]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()

    click.secho(line(header), bold=True)
    for letter, row in zip(letters, rows, strict=True):
        click.echo(line(row))
        first_line = next(iter(letter.error.message.splitlines()), "")
        click.secho(_in_a_line(f"    {letter.task_id}  {letter.error.type}: {first_line}"[:SHOWN_LINE_CHARS]), dim=True)


def _cell(text: str) -> str:
    """A worker has written it: no line of its own, and no longer than it is of use."""
    cell = _in_a_line(text[: SHOWN_CELL_CHARS + 1])
    return cell if len(cell) <= SHOWN_CELL_CHARS else f"{cell[: SHOWN_CELL_CHARS - 1]}…"


def _in_a_line(text: str) -> str:
    return shown(text).replace("\n", "\\n").replace("\t", " ")


def _reason(letter: Letter) -> str:
    return f"{letter.reason} after {letter.fields.get('deliveries', '?')}"


def _state(letter: Letter) -> str:
    return f"{letter.state}, redriven" if letter.is_redriven else str(letter.state)


def _described(letter: Letter) -> str:
    error = letter.error
    fields = {name: value for name, value in letter.fields.items() if name not in {"data", "error", "schema"}}
    lines = [f"{letter.service.name} {letter.id}, {in_words(utc_now() - letter.at)} old; its task is {letter.state}{_fate(letter)}"]
    lines += [f"  {name}: {value}" for name, value in sorted(fields.items())]
    lines += [
        "payload:",
        _pretty(letter.fields.get("data", "")),
        "error:",
        f"{error.module + '.' if error.module else ''}{error.type}: {error.message}",
    ]
    lines += [error.traceback.rstrip()] if error.traceback else []
    return shown("\n".join([*lines, "", _next_step(letter)]))


def _fate(letter: Letter) -> str:
    return f" ({letter.fate})" if letter.fate else ""


def _pretty(data: str) -> str:
    try:
        return json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    except ValueError:
        return data


def _next_step(letter: Letter) -> str:
    command = f"celery -A ... streams dead redrive {letter.id}"
    if why_not := refusal(letter, Insists(uncertain=True, unbridged=True)):
        return f"It can't be redriven: {why_not}."
    if letter.state is LetterState.PARKED:
        return f"Its task waits: {command}, or discard {letter.id}."
    insists = " --uncertain (look first whether it has done its work)" if letter.is_uncertain else ""
    insists += " --unbridged (look first what its worker says it was)" if letter.state is LetterState.UNBRIDGED else ""
    return f"To run it again: {command}{insists}"
