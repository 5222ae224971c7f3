"""`python -m workers NAME` finds the handlers of a service: by configuration, by an installed package's entry point, or by --import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HANDLERS = """
from workers import Job, handler

@handler("render.run")
def render(job: Job, params: dict) -> dict:
    return {"scene": params["scene"]}
"""
ENTRY_POINTS = "[celery_streams_bridge.handlers]\nrender = render_worker\n"
SERVICES = json.dumps({"render": {"handlers": ["render_worker"]}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "render_worker.py").write_text(HANDLERS)
    return tmp_path


def workers(folder: Path, *arguments: str, data: str = "{}", **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(Path.cwd())]), "JOBS_DIR": str(folder / "jobs")} | environment
    command = [sys.executable, "-m", "workers", *arguments]
    return subprocess.run(command, input=data, env=env, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def install(folder: Path) -> None:
    """As pip leaves a package that has an entry point."""
    info = folder / "render_worker-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: render-worker\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)


@pytest.mark.parametrize("how", ["configured", "installed", "imported"])
def test_a_job_finds_its_handler(folder: Path, how: str) -> None:
    if how == "installed":
        install(folder)
    arguments = ("--import", "render_worker") if how == "imported" else ()
    done = workers(folder, "run", "render.run", *arguments, data='{"scene": "intro"}', STREAMS_SERVICES=SERVICES if how == "configured" else "")
    assert (done.returncode, done.stdout) == (0, '{"scene":"intro"}\n'), done.stderr


def test_services_whose_handlers_are_known_are_listed_beside_the_built_in_ones(folder: Path) -> None:
    install(folder)
    listed = workers(folder, "--help", STREAMS_SERVICES='{"film": {"handlers": ["film_worker"]}}').stdout
    assert [line.split()[0] for line in listed.split("Commands:\n")[1].splitlines() if line.startswith("  ")] == [
        *("backtesting", "data", "film", "freqai", "hyperopt", "render"),
        *("reports", "run"),
    ]


def test_the_built_in_service_keeps_its_own_commands(folder: Path) -> None:
    assert workers(folder, "data", "markets", "show", FREQTRADE_MARKETS=str(folder)).stdout.startswith("no snapshot in ")


@pytest.mark.parametrize(
    ("services", "says"),
    [
        ("", "name their module with --import MODULE, or in STREAMS_SERVICES"),
        ('{"render": {"handlers": ["no.such"]}}', "error: no module 'no.such' for handlers"),
        ("{", "error: bad settings:\n  STREAMS_SERVICES: "),
    ],
)
def test_a_service_without_handlers_says_what_to_do(folder: Path, services: str, says: str) -> None:
    done = workers(folder, "render", STREAMS_SERVICES=services)
    assert done.returncode == 2
    assert says in done.stderr
