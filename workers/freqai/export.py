"""A model artifact as the folder that a running bot loads: `user_data/models/<identifier>`, as if the bot had trained it itself.

A bot asks `pair_dictionary.json` for the model of each pair and when it was trained, loads the files that it names, and trains anew once that is longer
ago than `live_retrain_hours` (freqtrade's `FreqaiDataKitchen.check_if_new_training_required`). That time is the end of the days that the model learned
from, so an export is of use for a bot only soon after a training whose timerange ends now.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import fsspec

from workers.errors import BadRequest, DataMissing
from workers.freqai.finished import MARK, PAIRS, FinishedWindows
from workers.freqtrade.freqai.model_artifact import ModelManifest, unpack
from workers.freqtrade.freqai.signing import SigningKey

ONLY_OF_A_TRAINING = ("config.json", "run_params.json")
"""A bot writes its own."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A folder for a bot."""

    folder: Path
    manifest: ModelManifest
    trained_until: dict[str, datetime]
    """By pair."""


def export(source: str, models: Path, key: SigningKey, *, seen_as: Path | None = None) -> Exported:
    """Check a model artifact and write the newest model of each pair.

    Args:
        source: the zip's path, or a URI of it.
        models: the bot's `user_data/models`.
        key: to check the signature with.
        seen_as: where the bot has that folder, when it isn't there: in a container, say.

    Raises:
        BadRequest: the artifact was touched, is none, or the bot has a model of that identifier.
        DataMissing: there's no such file.
    """
    models = models.absolute()
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=models) as aside:
        folder = Path(aside) / "model"
        manifest = unpack(_fetched(source, Path(aside) / "model.zip"), folder, key)
        target = models / manifest.identifier
        if target.exists():
            raise BadRequest(f"{target} is there already: stop its bot and move the folder away, or train with another freqai.identifier")
        newest = {row["pair"]: row for row in FinishedWindows(folder).marks()}  # in the order of time, so the last one stays
        for window in folder.glob("sub-train-*"):
            if window.name not in {Path(row["pair_info"]["data_path"]).name for row in newest.values()}:
                shutil.rmtree(window)
            else:
                (window / MARK).unlink()
        for name in ONLY_OF_A_TRAINING:
            (folder / name).unlink(missing_ok=True)
        pairs = {}
        for pair, row in newest.items():
            home = (seen_as or models) / manifest.identifier / Path(row["pair_info"]["data_path"]).name
            pairs[pair] = row["pair_info"] | {"data_path": str(home)}
        (folder / PAIRS).write_text(json.dumps(pairs), encoding="utf-8")
        folder.rename(target)
    return Exported(target, manifest, {pair: datetime.fromtimestamp(entry["trained_timestamp"], tz=UTC) for pair, entry in pairs.items()})


def _fetched(source: str, target: Path) -> Path:
    """The zip as a file here; what is signed needs no other check."""
    try:
        with fsspec.open(source, "rb") as stored, target.open("wb") as sink:
            shutil.copyfileobj(stored, sink)
    except (FileNotFoundError, IsADirectoryError):
        raise DataMissing(f"--model: no file {source}") from None
    except (ValueError, ImportError) as exc:
        raise BadRequest(f"--model: neither a file nor a URI that can be read here: {exc}") from exc
    return target
