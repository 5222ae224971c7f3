"""A stored result is given again only when its record is whole, its inputs are the same, and its files are what was stored."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from workers.artifacts import ArtifactStore
from workers.job import Job
from workers.reuse import find, forget_gone, remember

KEY = "a" * 64
INPUTS: dict[str, Any] = {"files": {}}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


def job(store: ArtifactStore, name: str) -> Job:
    directory = Path(store.root).parent / name
    directory.mkdir()
    return Job(id=name, type="lab.run", directory=directory, artifacts=store)


@pytest.fixture
def first(store: ArtifactStore) -> dict[str, Any]:
    """The result of the job `first`, which left its record."""
    finished = job(store, "first")
    (finished.directory / "film").write_text("frames")
    film = finished.artifact(finished.directory / "film", name="films/a", media_type="text/film")
    result = {"frames": 24, "report": film["uri"], "nested": [{"see": film["uri"]}], "artifacts": [film]}
    remember(finished, KEY, result, INPUTS, finished_at="2026-01-01T00:00:00+00:00")
    return result


def same(inputs: Any) -> str | None:
    return None if inputs == INPUTS else "inputs"


def test_it_says_whose_it_is_and_has_files_of_its_own(store: ArtifactStore, first: dict[str, Any]) -> None:
    found = find(job(store, "second"), KEY, same)
    assert found is not None
    assert found["reused"] == {"task_id": "first", "finished_at": "2026-01-01T00:00:00+00:00"}
    uri = found["artifacts"][0]["uri"]
    assert uri.endswith("/second/films/a")
    assert (found["report"], found["nested"]) == (uri, [{"see": uri}])
    assert found["artifacts"] == [first["artifacts"][0] | {"uri": uri}]
    store.remove("first")
    assert Path(urlsplit(uri).path).read_text() == "frames"


def test_what_was_of_that_run_only_is_left_out(store: ArtifactStore, first: dict[str, Any]) -> None:
    found = find(job(store, "second"), KEY, same, except_for={"films/a"})
    assert found is not None
    assert (found["artifacts"], store.names("second")) == ([], set())


def test_nothing_is_stored_under_another_key_or_when_an_input_changed(store: ArtifactStore, first: dict[str, Any]) -> None:
    asking = job(store, "second")
    assert find(asking, "b" * 64, same) is None
    assert find(asking, KEY, lambda inputs: "a candle file") is None


@pytest.mark.parametrize(
    "how", ["gone", "no json", "no object", "another key", "no inputs", "outside", "another folder", "file gone", "file touched", "file outside"]
)
def test_a_record_that_is_not_right_is_not_used(store: ArtifactStore, first: dict[str, Any], how: str) -> None:
    root = Path(store.root)
    pointer, record_file = root / "reuse" / KEY, root / "first" / "reuse.json"
    record, film = json.loads(record_file.read_text()), root / "first" / "films" / "a"
    if how == "gone":
        store.remove("first")
    elif how in {"no json", "no object"}:
        record_file.write_text("{" if how == "no json" else "[1]")
    elif how == "another key":
        record_file.write_text(json.dumps(record | {"key": "b" * 64}))
    elif how == "no inputs":
        del record["inputs"]
        record_file.write_text(json.dumps(record))
    elif how == "outside":
        shutil.copytree(root / "first", root.parent / "elsewhere")
        pointer.write_text("../elsewhere")
    elif how == "another folder":
        pointer.write_text("third")
    elif how == "file gone":
        film.unlink()
    elif how == "file touched":
        film.write_text("frameZ")
    else:
        secret = root.parent / "secret"
        secret.write_text("secret")
        record["result"]["artifacts"][0] |= {"uri": secret.as_uri(), "size": 6, "sha256": hashlib.sha256(b"secret").hexdigest()}
        record_file.write_text(json.dumps(record))
    assert find(job(store, "second"), KEY, same) is None


def test_pointers_to_folders_that_are_gone_are_removed(store: ArtifactStore, first: dict[str, Any]) -> None:
    assert forget_gone(store) == 0
    store.remove("first")
    assert (forget_gone(store), store.names("reuse")) == (1, set())
