"""A trained model as one file: FreqAI's identifier folder in a zip, with a manifest of every file and the manifest's signature.

manifest.json          what it was made of, its windows, the sha256 of each file
manifest.json.hmac     the signature, see `signing`
model/...              the identifier folder, without what nothing reads again: predictions of the training's own timerange, and the training rows
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from workers.errors import BadRequest
from workers.freqtrade.freqai.signing import SigningKey
from workers.freqtrade.freqai.windows import Window
from workers.freqtrade.manifest import hash_file

MEDIA_TYPE = "application/vnd.freqai-model+zip"
MANIFEST, SIGNATURE, FOLDER = "manifest.json", "manifest.json.hmac", "model"
LARGEST_MANIFEST = 64 << 20
CHUNK_BYTES = 1 << 20
PREDICTIONS = "backtesting_predictions"
NEVER_READ = ("_trained_df.pkl", "_trained_dates_df.pkl")
"""freqtrade writes the rows that a model was trained on, and reads them nowhere."""


class StoredFile(BaseModel, frozen=True):
    """One file of the folder."""

    size: int
    sha256: str


class TrainedWindow(BaseModel, frozen=True):
    """One model."""

    pair: str
    train_start: int
    train_stop: int

    @classmethod
    def of(cls, window: Window) -> TrainedWindow:
        return cls(pair=window.pair, train_start=window.train_start, train_stop=window.train_stop)

    @property
    def folder(self) -> str:
        """As FreqAI names it."""
        return f"sub-train-{self.pair.split('/')[0]}_{self.train_stop}"

    @property
    def filename(self) -> str:
        """As FreqAI begins the names of the model's files."""
        return f"cb_{self.pair.split('/')[0].lower()}_{self.train_stop}"


class ModelManifest(BaseModel, frozen=True):
    """What a model artifact holds, and what it was made of."""

    kind: Literal["freqai-model-1"] = "freqai-model-1"
    task_id: str
    strategy: str
    model: str
    """Class name of the FreqAI model."""
    identifier: str = Field(pattern=r"\A[A-Za-z0-9_-]{1,100}\z")
    timeframe: str
    freqai: dict[str, Any]
    """freqtrade's section of that name, with its defaults."""
    windows: list[TrainedWindow]
    inputs: dict[str, Any]
    """The hashes of code, config, candles and markets, and the versions: the manifest of the training."""
    signed_with: str
    files: dict[str, StoredFile]


def pack(folder: Path, target: Path, key: SigningKey, about: Mapping[str, Any]) -> ModelManifest:
    """Write the artifact.

    Args:
        folder: FreqAI's identifier folder.
        target: the zip.
        key: to sign with.
        about: the manifest's other fields.
    """
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file() and _is_kept(path, folder)}
    manifest = ModelManifest(
        **about,
        signed_with=key.name,
        files={name: StoredFile(size=path.stat().st_size, sha256=hash_file(path)) for name, path in files.items()},
    )
    content = json.dumps(manifest.model_dump(mode="json"), indent=1, default=str).encode()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(MANIFEST, content)
        archive.writestr(SIGNATURE, key.sign(content))
        for name, path in files.items():
            archive.write(path, f"{FOLDER}/{name}")
    return manifest


def unpack(source: Path, target: Path, key: SigningKey) -> ModelManifest:
    """Check the artifact whole, then put its folder at `target`. Nothing of it is loaded.

    Args:
        source: the zip.
        target: the identifier folder that it becomes; must not be there.
        key: to check the signature with.

    Raises:
        BadRequest: it is no model artifact, was changed, or is signed with another key.
    """
    aside = target.with_name(f"{target.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = _checked_manifest(archive, key)
            for name, entry in _entries(archive, manifest):
                _extract(archive, entry, manifest.files[name], aside / name)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, RuntimeError, EOFError, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno is not None:  # a full disk says nothing about the artifact
            raise
        raise BadRequest(f"model artifact: no zip that can be read: {type(exc).__name__}") from exc
    else:
        aside.mkdir(parents=True, exist_ok=True)
        aside.rename(target)
        return manifest
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _is_kept(path: Path, folder: Path) -> bool:
    return path.relative_to(folder).parts[0] != PREDICTIONS and not path.name.endswith(NEVER_READ)


def _checked_manifest(archive: zipfile.ZipFile, key: SigningKey) -> ModelManifest:
    names = archive.namelist()
    for name in (MANIFEST, SIGNATURE):
        if names.count(name) != 1 or archive.getinfo(name).file_size > LARGEST_MANIFEST:
            raise BadRequest(
                f"model artifact: a zip without its {name} is none; is it the artifact that a training's result names as model_artifact?"
            )
    content = archive.read(MANIFEST)
    try:
        claimed = json.loads(content)
    except ValueError:
        claimed = {}
    # Only the words of an error message hang on what the unchecked manifest says.
    signed_with = claimed.get("signed_with") if isinstance(claimed, dict) else None
    key.check(content, archive.read(SIGNATURE).decode("ascii", "replace"), signed_with)
    try:
        return ModelManifest.model_validate(claimed)
    except ValidationError as exc:
        raise BadRequest(
            f"model artifact: made by another version: {exc.error_count()} fields of its manifest aren't as here; train it again"
        ) from exc


def _entries(archive: zipfile.ZipFile, manifest: ModelManifest) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """Each file with its name below the folder: exactly those of the manifest, none outside of it."""
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        if entry.filename in {MANIFEST, SIGNATURE}:
            continue
        parts = PurePosixPath(entry.filename).parts
        name = "/".join(parts[1:])
        if parts[:1] != (FOLDER,) or ".." in parts or name in found or name not in manifest.files or "\\" in name:
            raise BadRequest("model artifact: it holds a file that its manifest doesn't name")
        found[name] = entry
    if missing := sorted(manifest.files.keys() - found.keys()):
        raise BadRequest(f"model artifact: a file is missing: {missing[0]}")
    yield from found.items()


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, stored: StoredFile, target: Path) -> None:
    """Write the file aside; no more than the manifest says, whatever the zip would unpack to."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    digest, size = hashlib.sha256(), 0
    try:
        with archive.open(entry) as source, target.open("xb") as sink:
            while size <= stored.size and (chunk := source.read(CHUNK_BYTES)):
                digest.update(chunk)
                size += len(chunk)
                sink.write(chunk)
    except (zipfile.BadZipFile, zlib.error, ValueError) as exc:
        raise BadRequest(f"model artifact: a file was changed after it was signed: {target.name}") from exc
    if (size, digest.hexdigest()) != (stored.size, stored.sha256):
        raise BadRequest(f"model artifact: a file was changed after it was signed: {target.name}")
