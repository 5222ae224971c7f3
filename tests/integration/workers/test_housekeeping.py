"""Folders past their retention go, but never one whose job runs or may come back: the ledger says so."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from streams.bus.clients import connect
from streams.bus.functions import load_library
from tests.protocol.dead_scene import DeadScene
from tests.protocol.scene import LONG, SERVICE, Scene
from workers.artifacts import ArtifactStore
from workers.disk_room import DiskRoom
from workers.housekeeping import Housekeeping
from workers.job_records import TRASH, JobRecords
from workers.reports.index import refresh
from workers.reports.record import INDEX, RECORD, Kind, RunRecord
from workers.settings import WorkerSettings

House = Callable[..., Housekeeping]
LONG_AGO = time.time() - 40 * 86_400


@pytest.fixture
def scene(redis_url: str, prefix: str) -> Iterator[DeadScene]:
    with connect(redis_url) as client:
        load_library(client)
        yield DeadScene(client, prefix)


@pytest.fixture
def house(scene: Scene, redis_url: str, tmp_path: Path) -> House:
    def make(**settings: Any) -> Housekeeping:
        given = {"jobs_dir": tmp_path / "jobs", "artifacts_url": str(tmp_path / "artifacts"), **settings}
        return Housekeeping(SERVICE, WorkerSettings(redis_url=redis_url, streams_prefix=scene.keys.prefix, **given))

    return make


def used(house: Housekeeping, folder: str, *publishes: str, service: str = SERVICE.name, size: int = 10, at: float = LONG_AGO) -> Path:
    """A job's folder with its record, as a worker leaves it."""
    for publish in publishes:
        house.records.begin(folder, service, publish)
    directory = house.settings.jobs_dir / folder
    (directory / "deep").mkdir(parents=True)
    (directory / "deep" / "file").write_bytes(b"x" * size)
    os.utime(house.settings.jobs_dir / ".records" / folder, (at, at))
    return directory


def ended(scene: Scene, publish: str) -> None:
    delivery, token = scene.started(publish, task=f"t-{publish}")
    scene.finish(delivery, token)
    scene.close(publish, task=f"t-{publish}")


def test_the_folder_of_an_ended_job_goes_after_its_days(scene: Scene, house: House) -> None:
    keeper = house()
    ended(scene, "p1")
    ended(scene, "p2")
    old, new = used(keeper, "old", "p1"), used(keeper, "new", "p2", at=time.time())
    forgotten = used(keeper, "forgotten", "its ledger is gone")
    assert 2 == keeper.clean()["jobs"]
    assert [False, True, False] == [each.exists() for each in (old, new, forgotten)]
    assert ["new"] == [record.folder for record in keeper.records.all()]


def test_what_may_come_back_stays(scene: Scene, house: House) -> None:
    keeper = house(jobs_keep_days=0, jobs_keep_gb=0)
    scene.dispatch("waits", task="t1")
    scene.read()
    scene.started("runs", task="t2")
    delivery, token = scene.started("delayed", task="t3")
    scene.retry_later(delivery, token, delay=LONG)
    delivery, token = scene.started("resolving", task="t4")
    scene.finish(delivery, token)
    scene.client.hset(scene.keys.job("parked"), "phase", "parked")
    scene.client.hset(scene.keys.job("retrying"), mapping={"phase": "closed", "outcome": "RETRY"})
    scene.client.hset(scene.keys.run(SERVICE.name, "entry:1-0"), "token", "1")  # a foreign producer's
    ended(scene, "p-ended")
    names = ("waits", "runs", "delayed", "resolving", "parked", "retrying", "entry:1-0")
    folders = [used(keeper, f"f{number}", "p-ended", publish) for number, publish in enumerate(names)]
    assert {"jobs": 0, "artifacts": 0} == keeper.clean()
    assert all(folder.exists() for folder in folders)


@pytest.mark.parametrize("parked", [True, False])
def test_the_folder_of_a_redriven_job_waits_for_it(scene: DeadScene, house: House, parked: bool) -> None:
    """It lay there for as long as its operator took, and its job may wait long until it begins anew."""
    keeper = house()
    letter = scene.parked() if parked else scene.failed()
    folder = used(keeper, "f", "p1")
    assert scene.redrive("p1", letter, new="p2").verdict == "sent"
    assert keeper.clean()["jobs"] == 0
    assert folder.exists()
    delivery = scene.read()
    scene.finish(delivery, scene.take_up(delivery).token)
    scene.close("p2")
    assert keeper.clean()["jobs"] == 1


def test_what_is_not_of_this_service_or_of_no_job_stays(scene: Scene, house: House) -> None:
    keeper = house(jobs_keep_days=0)
    others = used(keeper, "others", "gone", service="another")
    strange = keeper.settings.jobs_dir / "somebodys"
    strange.mkdir()
    assert 0 == keeper.clean()["jobs"]
    assert others.exists()
    assert strange.exists()


def test_what_runs_in_this_worker_stays(scene: Scene, house: House) -> None:
    keeper = house(jobs_keep_days=0)
    folder = used(keeper, "busy", "gone")
    assert 0 == keeper.clean(busy=["busy"])["jobs"]
    assert folder.exists()


def test_over_its_size_the_longest_unused_go_first(scene: Scene, house: House) -> None:
    keeper = house(jobs_keep_days=None, jobs_keep_gb=2_500 / 1e9)
    folders = [used(keeper, f"f{number}", f"gone{number}", size=1_000, at=LONG_AGO + number) for number in range(4)]
    assert 2 == keeper.clean()["jobs"]
    assert [False, False, True, True] == [folder.exists() for folder in folders]


def test_a_run_that_never_began_leaves_no_record(scene: Scene, house: House) -> None:
    """A suspect that is cancelled while it waits for the others, say: nothing would ever take the empty record away."""
    keeper = house()
    used(keeper, "f", "gone", at=LONG_AGO)
    keeper.records.end("never-began")
    keeper.records.end("f")
    (record,) = keeper.records.all()
    assert record.folder == "f"
    assert record.used_at > LONG_AGO + 1


def test_a_job_that_begins_while_its_folder_is_judged_keeps_it(scene: Scene, house: House) -> None:
    keeper = house()
    folder = used(keeper, "f", "gone")
    (record,) = keeper.records.all()
    JobRecords(keeper.settings.jobs_dir).begin("f", SERVICE.name, "its retry")
    assert not keeper.records.remove_folder(record)
    assert folder.exists()


def test_the_rest_of_a_removal_that_was_killed_goes(scene: Scene, house: House) -> None:
    keeper = house()
    left = keeper.settings.jobs_dir / TRASH / "f.1234"
    left.mkdir(parents=True)
    keeper.clean()
    assert not left.exists()


@pytest.mark.parametrize("url", ["{tmp}/artifacts", "memory://artifacts-of-a-test"])
def test_artifacts_have_their_own_retention_in_any_store(scene: Scene, house: House, tmp_path: Path, url: str) -> None:
    keeper = house(artifacts_url=url.format(tmp=tmp_path), jobs_keep_days=7, artifacts_keep_days=30)
    store = ArtifactStore(keeper.settings.artifacts_url)
    for folder, days in (("f-40", 40), ("f-10", 10), ("open", 40)):
        source = tmp_path / "source"
        source.write_bytes(b"x" * 100)
        store.put(folder, source, name="a/b.bin")
        used(keeper, folder, "open" if folder == "open" else f"gone-{folder}", at=time.time() - days * 86_400)
    store.put("nobodys", tmp_path / "source", name="b.bin")
    scene.dispatch("open")
    assert {"jobs": 2, "artifacts": 1} == keeper.clean()
    assert {"f-10", "open", "nobodys"} == store.folders()
    assert {"f-10", "open"} == {record.folder for record in keeper.records.all()}
    for folder in store.folders():
        store.remove(folder)


def test_runs_that_are_removed_leave_the_index(house: House, tmp_path: Path) -> None:
    keeper = house(artifacts_keep_days=30)
    store = ArtifactStore(keeper.settings.artifacts_url)
    for folder, days in (("f-40", 40), ("f-10", 10)):
        record = RunRecord(task_id=folder, kind=Kind.BACKTEST, title=f"run of {days} days ago", finished_at=datetime.now(UTC))
        store.write(f"{folder}/{RECORD}", record.model_dump_json().encode())
        used(keeper, folder, f"gone-{folder}", at=time.time() - days * 86_400)
    refresh(store)
    assert b"run of 40 days ago" in store.read(INDEX)
    keeper.clean()
    assert b"run of 40 days ago" not in store.read(INDEX)
    assert b"run of 10 days ago" in store.read(INDEX)


def test_over_their_size_artifacts_go_too(scene: Scene, house: House, tmp_path: Path) -> None:
    keeper = house(jobs_keep_days=None, artifacts_keep_days=None, artifacts_keep_gb=150 / 1e9)
    store = ArtifactStore(keeper.settings.artifacts_url)
    (tmp_path / "source").write_bytes(b"x" * 100)
    for number in range(3):
        store.put(f"f{number}", tmp_path / "source", name="b.bin")
        used(keeper, f"f{number}", f"gone{number}", at=LONG_AGO + number)
    assert 2 == keeper.clean()["artifacts"]
    assert {"f2"} == store.folders()


def test_while_redis_is_away_nothing_is_removed(house: House) -> None:
    keeper = house()
    folder = used(keeper, "f", "gone")
    keeper.settings = keeper.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    with pytest.raises(Exception, match="refused"):
        keeper.clean()
    assert folder.exists()


def test_without_room_it_is_said_where_and_how_much(tmp_path: Path) -> None:
    settings = WorkerSettings(jobs_dir=tmp_path / "jobs", artifacts_url=str(tmp_path / "artifacts"), min_free_disk="1000TiB")
    room = DiskRoom(settings)
    assert not room.look()
    assert room.lacking.startswith("JOBS_DIR has ")
    assert room.lacking.endswith("MIN_FREE_DISK is 1,048,576,000 MiB")


def test_no_limit_is_no_lack(tmp_path: Path) -> None:
    assert DiskRoom(WorkerSettings(jobs_dir=tmp_path, artifacts_url="memory://x", min_free_disk="0")).look()
