"""What the bridge uses of Celery beyond what is documented: all of it is listed, and is there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bridge
from bridge.celery_internals import names
from bridge.celery_internals.names import NAMES, Name, moved

BRIDGE = Path(bridge.__file__).parent
LIST = "list it in bridge/celery_internals/names.py"
FOREIGN = {"celery", "kombu", "billiard", "vine"}
DOCUMENTED = {
    *("celery:Celery", "celery:Task", "celery:bootsteps", "celery:current_task", "celery:signals", "celery:states"),
    *("celery.result:AsyncResult", "celery.worker:state", "kombu:Queue", "celery.backends.base:Backend"),
    *("celery.backends.base:BaseKeyValueStoreBackend", "celery.backends.redis:RedisBackend"),
}
"""In Celery's user guide or API reference, or a class whose parts are listed."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(BRIDGE.rglob("*.py")):
        yield path.relative_to(BRIDGE).as_posix(), ast.parse(path.read_text())


def listed() -> set[str]:
    return {part for name in NAMES for part in name.path.split(".")}


def test_the_installed_celery_has_every_name() -> None:
    assert moved() == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (Name("celery.app.no_such", "x"), "celery.app.no_such can't be imported"),
        (Name("celery.app.trace", "build_tracers"), "celery.app.trace has no build_tracers"),
        (Name("celery.worker.request", "Request._contexts"), "celery.worker.request.Request has no _contexts"),
        (Name("celery.app.trace", "build_tracer", ("colour",)), "celery.app.trace.build_tracer no longer takes colour"),
    ],
)
def test_a_name_that_moved_is_told(monkeypatch: pytest.MonkeyPatch, name: Name, told: str) -> None:
    monkeypatch.setattr(names, "NAMES", (name,))
    assert [line.startswith(told) for line in moved()] == [True]


def test_what_is_imported_is_documented_or_listed() -> None:
    known = DOCUMENTED | {f"{name.module}:{name.path.split('.')[0]}" for name in NAMES}
    imported = {
        f"{node.module}:{alias.name}": file
        for file, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in FOREIGN and not node.module.endswith(".exceptions")
        for alias in node.names
    }
    assert {name: file for name, file in imported.items() if name not in known} == {}, LIST


def test_each_private_attribute_is_our_own_or_listed() -> None:
    """Ours are those that some class, function or assignment of the bridge makes."""
    used: dict[str, str] = {}
    ours: set[str] = set()
    for file, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                ours.add(node.name)
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                targets = [part for target in (node.targets if isinstance(node, ast.Assign) else [node.target]) for part in ast.walk(target)]
                ours |= {target.id for target in targets if isinstance(target, ast.Name)}
                ours |= {target.attr for target in targets if isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"}
            elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
                used[node.attr] = file
    assert {name: file for name, file in used.items() if name not in ours | listed()} == {}, LIST
