"""Values over the wire: what goes in comes out as plain JSON values, and what can't go is named by its path."""

from __future__ import annotations

import dataclasses
import enum
import math
import uuid
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from streams.bus.codec import decode_json, encode_datetime, encode_json, printable, to_json_safe
from streams.errors import DecodeError, EncodeError

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5), max_leaves=20)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    at: datetime


class Model(BaseModel):
    path: Path
    amount: Decimal


@given(JSON)
def test_plain_json_values_come_back_as_they_were(value: Any) -> None:
    assert to_json_safe(value) == value


@given(st.floats())
def test_nan_and_infinities_become_null_wherever_they_stand(value: float) -> None:
    expected = value if math.isfinite(value) else None
    assert to_json_safe({"a": [value], "b": np.float64(value), "c": np.array([value])}) == {"a": [expected], "b": expected, "c": [expected]}


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])))
def test_datetimes_are_the_same_moment_in_utc(moment: datetime) -> None:
    text = to_json_safe(moment)
    assert text.endswith("+00:00")
    assert datetime.fromisoformat(text) == moment


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 1, 2, 3, 4), "2026-01-02T03:04:00+00:00"),  # noqa: DTZ001 - a naive one is taken as UTC
        (date(2026, 1, 2), "2026-01-02"),
        (timedelta(minutes=1.5), 90.0),
        (Decimal("0.10"), "0.10"),
        (Decimal("NaN"), None),
        (Colour.RED, "red"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("a/b"), "a/b"),
        (Point(1, datetime(2026, 1, 1, tzinfo=UTC)), {"x": 1, "at": "2026-01-01T00:00:00+00:00"}),
        (Model(path=Path("x"), amount=Decimal("1.5")), {"path": "x", "amount": "1.5"}),
        ((1, 2), [1, 2]),
        ({3, 1, 2}, [1, 2, 3]),
        ({1: "a"}, {"1": "a"}),
        (np.int64(7), 7),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.datetime64("2026-01-01T00:00:00"), "2026-01-01T00:00:00+00:00"),
        (pd.Timestamp("2026-01-01", tz="UTC"), "2026-01-01T00:00:00+00:00"),
        (pd.NaT, None),
        (pd.NA, None),
        (pd.Series([1.0, math.nan]), [1.0, None]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_of_data_libraries_are_encoded(value: Any, expected: Any) -> None:
    assert to_json_safe({"value": value}) == {"value": expected}


@pytest.mark.parametrize("value", [object(), b"bytes", lambda: None, 2**70, "\ud800"], ids=["object", "bytes", "function", "too large", "surrogate"])
def test_what_cant_go_is_named_by_its_path(value: Any) -> None:
    with pytest.raises(EncodeError, match=r"^\$\.config\.pairs\[1\]\.fee: "):
        encode_json({"config": {"pairs": [{"fee": 1}, {"fee": value}]}})


def test_broken_json_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="not JSON"):
        decode_json('{"a": ')


def test_bytes_that_are_no_text_can_be_shown() -> None:
    raw = b"\xff\xfe".decode(errors="surrogateescape")
    assert printable(raw) == "base64://4="
    assert printable("plain") == "plain"


def test_a_naive_datetime_is_taken_as_utc() -> None:
    assert encode_datetime(datetime(2026, 1, 1)) == encode_datetime(datetime(2026, 1, 1, tzinfo=UTC))  # noqa: DTZ001 - the point of the test
