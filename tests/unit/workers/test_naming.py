"""A worker's name is spelled as Celery's."""

from __future__ import annotations

import pytest
from celery.utils.nodenames import host_format, nodename, nodesplit

from workers.naming import worker_name


@pytest.mark.parametrize("host", ["vm", "vm.example.org"])
@pytest.mark.parametrize("pattern", ["render@%h", "gpu@%n", "gpu%n@%d", "w1@host", "w1", "%h", "a@b@%h"])
def test_it_is_what_celery_makes_of_it(monkeypatch: pytest.MonkeyPatch, host: str, pattern: str) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    name, rest = nodesplit(pattern)
    assert worker_name(pattern, "render") == host_format(nodename(name or "render", rest), host=host)


def test_another_letter_is_told() -> None:
    with pytest.raises(ValueError, match=r"%x in 'render@%x' is none of %h"):
        worker_name("render@%x", "render")
