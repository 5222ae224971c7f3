"""The index of all runs: what is there is told, whatever strangers wrote into the store."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.unit.reports.results import backtest, job_of
from tests.unit.reports.test_backtest_page import EVIL, Elements
from workers.artifacts import ArtifactStore
from workers.cli import cli
from workers.reports import Kind, index, publish
from workers.reports.index import CACHE, refresh
from workers.reports.record import INDEX, RunRecord

RECORD: dict[str, Any] = {
    "task_id": "task",
    "kind": "backtest",
    "strategy": "EmaCross",
    "title": "EmaCross 5m",
    "finished_at": "2026-11-20T12:00:00Z",
    "has_page": True,
    "numbers": {"profit_total": 0.05, "sharpe": None, "total_trades": 12},
    "config": {f"key{place}": f'"value {place}"' for place in range(20)},
    "curve": [[1_767_225_600.0 + place * 3_600, place / 1000] for place in range(40)],
}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path / "artifacts"))


def write(store: ArtifactStore, folder: str, **changes: Any) -> None:
    write_text(store, folder, json.dumps(RECORD | {"task_id": folder} | changes))


def write_text(store: ArtifactStore, folder: str, text: str | bytes) -> None:
    assert store.local_path is not None
    place = store.local_path / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / "run.json").write_bytes(text.encode() if isinstance(text, str) else text)


def shown(store: ArtifactStore) -> list[str]:
    return [run["folder"] for run in data_of(store)["runs"]]


def data_of(store: ArtifactStore) -> Any:
    return json.loads(Elements(store.read(INDEX).decode()).scripts[0])


def test_runs_come_newest_first_and_go_with_their_folders(store: ArtifactStore) -> None:
    write(store, "old", finished_at="2026-11-01T00:00:00Z")
    write(store, "new", finished_at="2026-11-22T00:00:00Z")
    refresh(store)
    assert ["new", "old"] == shown(store)
    store.remove("new")
    refresh(store)
    assert ["old"] == shown(store)


def test_a_run_that_ran_again_shows_its_new_numbers(store: ArtifactStore) -> None:
    write(store, "a")
    refresh(store)
    write(store, "a", numbers={"profit_total": 0.75})
    refresh(store, changed={"a"})
    assert [0.75] == [run["numbers"]["profit_total"] for run in data_of(store)["runs"]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        b"\xff\xfe",
        json.dumps({"task_id": "x"}),
        json.dumps(RECORD | {"kind": "surprise"}),
        json.dumps(RECORD | {"numbers": {"profit_total": "a lot"}}),
        json.dumps(RECORD | {"numbers": {str(place): 1 for place in range(1_000)}}),
        json.dumps(RECORD | {"title": "x" * 10_000}),
        json.dumps(RECORD | {"finished_at": "yesterday"}),
        json.dumps(RECORD).replace("0.05", "NaN"),
        json.dumps(RECORD | {"note": "x" * 500_000}),
    ],
)
def test_a_record_that_is_none_is_left_out(store: ArtifactStore, text: str | bytes) -> None:
    write(store, "good")
    write_text(store, "bad", text)
    refresh(store)
    assert ["good"] == shown(store)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to(path.name), Path.mkdir], ids=["pipe", "circle of links", "folder"])
def test_a_record_that_is_no_file_holds_up_nobody(store: ArtifactStore, make: Any) -> None:
    write(store, "good")
    write(store, "odd")
    assert store.local_path is not None
    record = store.local_path / "odd" / "run.json"
    record.unlink()
    make(record)
    refresh(store)
    assert shown(store) == ["good"]


def test_a_record_full_of_markup_runs_nothing(store: ArtifactStore) -> None:
    evil = EVIL.replace("\ud800", "")[:100]
    write(
        store,
        "evil",
        task_id=evil,
        strategy=evil,
        title=evil,
        host=evil,
        config={evil: evil},
        facts={evil: evil},
        hashes={evil: evil},
        report="javascript:alert(1)",
    )
    refresh(store)
    page = store.read(INDEX).decode()
    elements = Elements(page)
    assert "alert(1)</script>" not in page
    assert "javascript:" not in page
    assert elements.names.count("img") == 0
    assert evil in json.loads(elements.scripts[0])["texts"]


@pytest.mark.parametrize("cache", [b"", b"[]", b"{}", b'{"version": 1, "rows": {"a": 3}}', b'{"version": 0, "rows": {}}'])
def test_a_cache_that_is_none_is_made_again(store: ArtifactStore, cache: bytes) -> None:
    write(store, "a")
    store.write(CACHE, cache)
    refresh(store)
    assert ["a"] == shown(store)


def _publish_one(folder: Path, place: int) -> None:
    job = job_of(folder, f"task-{place}")
    write(job.artifacts, f"task-{place}")
    refresh(job.artifacts, changed={f"task-{place}"})


def test_runs_that_end_at_once_are_all_there(tmp_path: Path, store: ArtifactStore) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_publish_one, args=(tmp_path, place)) for place in range(12)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert {f"task-{place}" for place in range(12)} == set(shown(store))


def test_a_lock_that_is_never_given_back_holds_up_no_job(store: ArtifactStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "LOCK_SECONDS", 0.1)
    refresh(store)
    assert store.local_path is not None
    result, details = backtest()
    with (store.local_path / index.LOCK).open() as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        artifacts = publish(job_of(tmp_path), kind=Kind.BACKTEST, result=result, details=lambda: details)
    assert "TimeoutError" in result["report_error"]
    assert ["report.html", "run.json"] == [item["name"] for item in artifacts]
    refresh(store)
    assert ["task-1"] == shown(store), "the next run brings it in"


def test_two_thousand_runs_take_well_below_a_second(store: ArtifactStore) -> None:
    for place in range(2_000):
        write(store, f"task-{place}", numbers={"profit_total": place / 1_000})
    refresh(store)
    write(store, "one-more")
    began = time.process_time()
    refresh(store, changed={"one-more"})
    assert time.process_time() - began < 1.0
    assert len(shown(store)) == 2_001
    assert len(store.read(INDEX)) < 2_500_000


def test_a_store_elsewhere_has_an_index_too() -> None:
    store = ArtifactStore("memory://reports-elsewhere")
    for folder in ("a", "b"):
        store.write(f"{folder}/run.json", RunRecord.model_validate(RECORD | {"task_id": folder}).model_dump_json().encode())
        refresh(store, changed={folder})
    assert {"a", "b"} == set(shown(store))


def test_the_command_makes_it_anew_and_says_where_it_is(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ARTIFACTS_URL", store.url)
    monkeypatch.setenv("JOBS_DIR", str(tmp_path / "jobs"))
    write(store, "a")
    store.write(CACHE, b'{"version": 1, "rows": {"a": {"stamp": null, "run": {"title": "of yesterday"}}}}')
    done = CliRunner().invoke(cli, ["reports", "index"])
    assert f"{store.url}/index.html\n" == done.output
    assert ["EmaCross 5m"] == [run["title"] for run in data_of(store)["runs"]]
