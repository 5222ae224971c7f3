"""No task id and no artifact's name leads out of the folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.artifacts import ArtifactStore
from workers.folder import folder_name

EVIL = ["../../etc", "..", ".", "/etc/passwd", "a/b", "", "a\0b", ".hidden", "x" * 400, "naïve", "reuse", "index.html", "index.cache.json"]


@pytest.mark.parametrize("job_id", EVIL)
def test_a_strange_task_id_becomes_a_plain_name_of_its_own(job_id: str) -> None:
    name = folder_name(job_id)
    assert Path(name).name == name
    assert len(name) < 100
    assert name not in {folder_name(other) for other in EVIL if other != job_id}


def test_celerys_own_ids_stay_as_they_are() -> None:
    assert folder_name("0a1b2c3d-4e5f-6789-abcd-ef0123456789") == "0a1b2c3d-4e5f-6789-abcd-ef0123456789"


def test_an_artifact_stays_in_its_jobs_folder(tmp_path: Path) -> None:
    store, file = ArtifactStore(str(tmp_path / "store")), tmp_path / "file"
    file.write_text("x")
    artifact = store.put("../../evil", file, name="a/b.txt")
    assert Path(artifact.uri.removeprefix("file://")).resolve().is_relative_to(tmp_path / "store")
    for name in ("../out", "/etc/out", "a/../../out"):
        with pytest.raises(ValueError, match="below the job's folder"):
            store.put("job", file, name=name)
