"""`python -m workers freqai check | export`."""

from __future__ import annotations

from pathlib import Path

import click

from workers.freqtrade.check_command import check_command
from workers.freqtrade.config.keys import TRAINING
from workers.freqtrade.settings import FreqAISettings


@click.group()
def cli() -> None:
    """What a FreqAI worker makes of a config, and a trained model for a bot."""


cli.add_command(check_command(TRAINING, "a training"))


@cli.command()
@click.option("--model", required=True, metavar="FILE|URI", help="The model artifact: model_artifact of a training's result.")
@click.option("--to", "models", required=True, type=click.Path(file_okay=False, path_type=Path), help="The bot's user_data/models.")
@click.option(
    "--seen-as", type=click.Path(path_type=Path), help="That folder as the bot sees it, such as /freqtrade/user_data/models in a container."
)
def export(model: str, models: Path, seen_as: Path | None) -> None:
    """Write a model as the folder that a bot with the same freqai config loads instead of training. Its signature is checked first."""
    from workers.freqai.export import export as export_model
    from workers.freqtrade.freqai.signing import read_key

    exported = export_model(model, models, read_key(FreqAISettings.load().signing_key), seen_as=seen_as)
    manifest = exported.manifest
    click.echo(f"{exported.folder}: {manifest.model}, strategy {manifest.strategy}, freqai.identifier {manifest.identifier}")
    for pair, until in sorted(exported.trained_until.items()):
        click.echo(f"  {pair} learned from candles until {until:%Y-%m-%d %H:%M} UTC: a bot trains it anew live_retrain_hours after that")
