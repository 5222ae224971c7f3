"""`--set data.<path>=<value>`."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.dead_letters.payload_changes import BadChange, changed, parse_changes


def test_values_are_json_or_else_text() -> None:
    given = ["data.n=1", "data.on=true", "data.range=20250101-20250301", 'data.text="1"', "data.pairs.0=[1]", "data.empty=", "data.a.b=x=y"]
    assert parse_changes(given) == {"n": 1, "on": True, "range": "20250101-20250301", "text": "1", "pairs.0": [1], "empty": "", "a.b": "x=y"}


@pytest.mark.parametrize("bad", ["data.n", "n=1", "data=1", "data.=1", "data.a..b=1", ".a=1", "=1", ""])
def test_what_is_no_change_is_told(bad: str) -> None:
    with pytest.raises(BadChange, match="is no change: data"):
        parse_changes([bad])


def test_they_are_made_in_a_copy_and_make_what_is_missing() -> None:
    data = {"config": {"pairs": ["a", "b"]}}
    assert changed(data, {"config.pairs.1": "c", "config.timerange": "x", "new.deep": 1}) == {
        "config": {"pairs": ["a", "c"], "timerange": "x"},
        "new": {"deep": 1},
    }
    assert data == {"config": {"pairs": ["a", "b"]}}


@pytest.mark.parametrize(
    ("data", "path", "told"),
    [
        ({"a": 1}, "a.b", "data.a.b: data.a is int, and has no 'b'"),
        ({"a": [1]}, "a.1", "data.a.1: data.a is a list of 1, and has no '1'"),
        ({"a": [1]}, "a.x.y", "data.a.x: data.a is a list of 1, and has no 'x'"),
        ("text", "a", "data.a: data is str, and has no 'a'"),
    ],
)
def test_what_doesnt_fit_is_told_with_its_place(data: Any, path: str, told: str) -> None:
    with pytest.raises(BadChange) as caught:
        changed(data, {path: 1})
    assert str(caught.value) == told
