"""A claim check opens the file that was stored, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.artifacts import ArtifactStore
from workers.claim_check import Artifact
from workers.errors import BadRequest, DataMissing


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "store"))


@pytest.fixture
def stored(store: ArtifactStore, tmp_path: Path) -> Artifact:
    (tmp_path / "film.txt").write_text("a film")
    return store.put("task-1", tmp_path / "film.txt", name="out/film.txt")


def test_what_was_stored_comes_back(store: ArtifactStore, stored: Artifact, tmp_path: Path) -> None:
    assert store.get(stored, tmp_path / "again.txt").read_text() == "a film"
    assert not (tmp_path / "again.txt.part").exists()


def test_a_file_that_was_touched_is_refused(store: ArtifactStore, stored: Artifact, tmp_path: Path) -> None:
    Path(stored.uri.removeprefix("file://")).write_text("a FILM")
    with pytest.raises(BadRequest, match="size or sha256 differs"):
        store.get(stored, tmp_path / "again.txt")
    assert not list(tmp_path.glob("again*"))


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "{store}/../film.txt", "{store}x/film.txt", "/etc/passwd", "http://localhost/film.txt"])
def test_nothing_outside_of_the_store_is_opened(store: ArtifactStore, stored: Artifact, tmp_path: Path, uri: str) -> None:
    with pytest.raises(BadRequest, match="doesn't lie in this worker's store"):
        store.get(stored.model_copy(update={"uri": uri.format(store=store.url)}), tmp_path / "again.txt")


@pytest.mark.parametrize("gone", ["task-1/out/other.txt", "task-1/out"])
def test_what_is_gone_is_named(store: ArtifactStore, stored: Artifact, tmp_path: Path, gone: str) -> None:
    with pytest.raises(DataMissing, match=r"no file .*/task-1/out"):
        store.get(stored.model_copy(update={"uri": f"{store.url}/{gone}"}), tmp_path / "again.txt")


def test_a_file_of_the_store_itself_is_no_jobs_folder(store: ArtifactStore, stored: Artifact) -> None:
    assert store.write("index.html", b"<p>") == f"{store.url}/index.html"
    assert store.read("index.html") == b"<p>"
    assert {"task-1"} == store.folders()
    assert store.exists("index.html")
    assert not store.exists("index.html.part")


@pytest.mark.parametrize("name", ["../film.txt", "/etc/passwd", "task-1/../../film.txt"])
def test_a_name_leads_nowhere_out_of_the_store(store: ArtifactStore, name: str) -> None:
    with pytest.raises(ValueError, match="below the store"):
        store.read(name)
    with pytest.raises(ValueError, match="below the store"):
        store.write(name, b"")


def test_a_file_that_is_too_large_to_be_read_whole_is_not(store: ArtifactStore) -> None:
    store.write("a.json", b"x" * 11)
    assert store.read("a.json", most_bytes=11) == b"x" * 11
    with pytest.raises(ValueError, match="more than 10 bytes"):
        store.read("a.json", most_bytes=10)
