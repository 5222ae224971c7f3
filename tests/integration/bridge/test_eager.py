"""A bridged task that is called directly: its job gets here what it would get in a stream worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from bridge import StreamTask, connect
from streams.bus.topology import Service, add_service


@pytest.mark.parametrize(("payload", "arrives"), [(None, {"value": None}), ([1, 2], {"value": [1, 2]}), ("text", {"value": "text"}), ({}, {})])
def test_a_payload_that_is_no_object(payload: Any, arrives: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JOBS_DIR", str(tmp_path / "jobs"))
    monkeypatch.setenv("ARTIFACTS_URL", str(tmp_path / "artifacts"))
    add_service(Service.named("eager", handlers=("tests.handlers",)))
    app = connect(Celery("unit", broker="memory://", set_as_current=False))

    @app.task(base=StreamTask, service="eager", command="test.echo", lazy=False, shared=False)
    def echo() -> Any:
        return payload

    assert echo() == arrives
