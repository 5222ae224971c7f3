"""Artifacts: large outputs are files; the result carries their claim check (URI, size, sha256), never the bytes."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path, PurePosixPath

import fsspec

from workers.claim_check import Artifact
from workers.errors import BadRequest, DataMissing
from workers.folder import folder_name

CHUNK_BYTES = 1 << 20


class ArtifactStore:
    """A folder of job folders on any fsspec file system (`file://`, `s3://`, `sftp://` ...)."""

    def __init__(self, url: str) -> None:
        if "://" not in url:
            url = Path(url).absolute().as_uri()
        self.url = url.rstrip("/")
        self.fs, self.root = fsspec.core.url_to_fs(self.url)

    def put(self, job_id: str, path: Path, *, name: str, media_type: str | None = None) -> Artifact:
        """Copy a file into the job's folder: written aside, then renamed, so that no reader sees half of it.

        Raises:
            ValueError: `name` leads out of the job's folder.
        """
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"the name of an artifact is a path below the job's folder, not {name!r}")
        folder = folder_name(job_id)
        target = f"{self.root.rstrip('/')}/{folder}/{name}"
        digest, size = hashlib.sha256(), 0
        self.fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        with path.open("rb") as source, self.fs.open(f"{target}.part", "wb") as sink:
            while chunk := source.read(CHUNK_BYTES):
                digest.update(chunk)
                size += len(chunk)
                sink.write(chunk)
        self.fs.mv(f"{target}.part", target)
        return Artifact(
            name=name,
            uri=f"{self.url}/{folder}/{name}",
            size=size,
            sha256=digest.hexdigest(),
            media_type=media_type or mimetypes.guess_type(name)[0] or "application/octet-stream",
        )

    def get(self, artifact: Artifact, target: Path) -> Path:
        """Copy a stored file to `target`, and make sure that it is what its claim check says.

        A claim check comes from a call, which nobody vouches for: it opens files of this store only.

        Raises:
            BadRequest: it names a place outside of this store, or the file isn't what was stored.
            DataMissing: the file isn't there; artifacts are removed after ARTIFACTS_KEEP_DAYS.
        """
        path = artifact.uri.removeprefix(f"{self.url}/")
        if path == artifact.uri or ".." in PurePosixPath(path).parts:
            raise BadRequest(f"artifact: its URI doesn't lie in this worker's store, ARTIFACTS_URL={self.url}")
        digest, size = hashlib.sha256(), 0
        aside = target.with_name(f"{target.name}.part")
        try:
            with self.fs.open(f"{self.root.rstrip('/')}/{path}", "rb") as source, aside.open("wb") as sink:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size += len(chunk)
                    sink.write(chunk)
        except (FileNotFoundError, IsADirectoryError):
            raise DataMissing(f"artifact: no file {artifact.uri} (artifacts are removed after ARTIFACTS_KEEP_DAYS)") from None
        if (size, digest.hexdigest()) != (artifact.size, artifact.sha256):
            aside.unlink()
            raise BadRequest(f"artifact: {artifact.uri} is not the file that was stored: its size or sha256 differs")
        return aside.replace(target)

    def read(self, name: str, *, most_bytes: int | None = None) -> bytes:
        """A small file by its path below the store.

        Raises:
            DataMissing: it isn't there.
            ValueError: it holds more than `most_bytes`.
        """
        try:
            with self.fs.open(self._path(name), "rb") as source:
                content: bytes = source.read(-1 if most_bytes is None else most_bytes + 1)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise DataMissing(f"artifact: no file {self.url}/{name}") from None
        if most_bytes is not None and len(content) > most_bytes:
            raise ValueError(f"{name} holds more than {most_bytes} bytes")
        return content

    def write(self, name: str, content: bytes) -> str:
        """Put a file that is no job's, such as the index, and return its URI: written aside, then renamed."""
        target = self._path(name)
        self.fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        with self.fs.open(f"{target}.part", "wb") as sink:
            sink.write(content)
        self.fs.mv(f"{target}.part", target)
        return f"{self.url}/{name}"

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        return bool(self.fs.exists(self._path(name)))

    def folders(self) -> set[str]:
        """The job folders that are there."""
        return self.names(kind="directory")

    def names(self, folder: str = "", *, kind: str | None = None) -> set[str]:
        """What is in a folder of the store; `kind` may be `file` or `directory`."""
        place = self._path(folder)
        self.fs.invalidate_cache(place)  # other workers write here too
        try:
            entries = self.fs.ls(place, detail=True)
        except FileNotFoundError:
            return set()
        return {str(entry["name"]).rstrip("/").rsplit("/", 1)[-1] for entry in entries if kind in {None, entry["type"]}}

    def size(self, folder: str) -> int:
        """Bytes of a job folder's files."""
        return int(self.fs.du(f"{self.root.rstrip('/')}/{folder}"))

    def remove(self, folder: str) -> None:
        """Remove a job folder with all that is in it."""
        self.fs.rm(f"{self.root.rstrip('/')}/{folder}", recursive=True)

    def _path(self, name: str) -> str:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"the name of a stored file is a path below the store, not {name!r}")
        return f"{self.root.rstrip('/')}/{name}".rstrip("/")

    @property
    def local_path(self) -> Path | None:
        """Where it is on this machine; None elsewhere."""
        protocols = self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,)
        return Path(self.root) if {"file", "local"} & set(protocols) else None
