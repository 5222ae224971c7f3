"""Messages are flat strings on the wire, and read back as they were sent, by us and by an older or newer version."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import DecodeError, EncodeError, NewerSchema
from streams.jobs.messages import Command, DeadLetter, JobErrorInfo, Result, ResultStatus, Status, StatusKind, WorkerStatus, WorkerStatusKind

TEXT = st.text(min_size=1, max_size=30)
DATA = st.dictionaries(st.text(max_size=8), st.integers(-1000, 1000) | st.text() | st.lists(st.booleans(), max_size=3), max_size=4)
MOMENTS = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds


@given(
    st.builds(
        Command,
        type=TEXT,
        task_id=TEXT,
        callback_stream=TEXT,
        data=DATA,
        attempt=st.integers(0, 9),
        publish_id=st.none() | TEXT,
        created_at=MOMENTS,
        time_limit=st.none() | st.floats(0.1, 1e6),
        soft_time_limit=st.none() | st.floats(0.1, 1e6),
        expires_at=st.none() | MOMENTS,
    )
)
def test_a_command_reads_back_as_it_was_sent(command: Command) -> None:
    fields = command.to_redis_dict()
    assert all(isinstance(part, str) for pair in fields.items() for part in pair)
    assert Command.from_redis_dict(fields) == command


@given(st.builds(Result, task_id=TEXT, attempt=st.integers(0, 9), status=st.sampled_from(ResultStatus), data=DATA, finished_at=st.none() | MOMENTS))
def test_a_result_reads_back_as_it_was_sent(result: Result) -> None:
    assert Result.from_redis_dict(result.to_redis_dict()) == result


@given(
    st.builds(
        Status, task_id=TEXT, attempt=st.integers(0, 9), kind=st.sampled_from(StatusKind), current=st.none() | st.integers(), message=st.none() | TEXT
    )
)
def test_a_status_reads_back_as_it_was_sent(status: Status) -> None:
    assert Status.from_redis_dict(status.to_redis_dict()) == status


def test_a_workers_status_reads_back_as_it_was_sent() -> None:
    status = WorkerStatus(
        kind=WorkerStatusKind.HEARTBEAT,
        worker="render@host",
        pid=7,
        concurrency=4,
        active=2,
        processed=9,
        freq=2,
        load=[0.5, 0.25, 0.0],
        versions={"python": "3.13.1"},
        task_types=["render.run"],
    )
    fields = status.to_redis_dict()
    assert (fields["kind"], fields["load"], fields["task_types"]) == ("worker_heartbeat", "[0.5,0.25,0.0]", '["render.run"]')
    assert WorkerStatus.from_redis_dict(fields) == status


def test_four_fields_of_a_foreign_worker_are_a_result() -> None:
    result = Result.from_redis_dict({"task_id": "t", "attempt": "2", "status": "succeeded", "data": '{"profit": 1.5}'})
    assert (result.attempt, result.status, result.data) == (2, ResultStatus.SUCCEEDED, {"profit": 1.5})


def test_fields_of_a_newer_version_are_ignored() -> None:
    fields = Command(type="x", task_id="t", callback_stream="s").to_redis_dict() | {"colour": "red"}
    assert Command.from_redis_dict(fields).task_id == "t"


def test_what_is_none_is_left_out() -> None:
    assert set(Result(task_id="t", attempt=1, status=ResultStatus.CANCELLED).to_redis_dict()) == {"schema", "task_id", "attempt", "status"}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({}, "type: Field required"),
        ({"type": "x", "task_id": "", "callback_stream": "s"}, "task_id"),
        ({"type": "x", "task_id": "t", "callback_stream": "s", "data": "{"}, "data: not JSON"),
        ({"type": "x", "task_id": "t", "callback_stream": "s", "attempt": "many"}, "attempt"),
        ({"type": "x", "task_id": "t", "callback_stream": "s", "created_at": "yesterday"}, "created_at"),
    ],
)
def test_an_entry_that_is_no_command_says_what_is_wrong(fields: dict[str, str], complaint: str) -> None:
    with pytest.raises(DecodeError, match=complaint):
        Command.from_redis_dict(fields)


def test_a_value_that_cant_go_over_the_wire_is_an_encode_error() -> None:
    with pytest.raises(EncodeError, match=r"\$\.callback"):
        Command(type="x", task_id="t", callback_stream="s", data={"callback": print}).to_redis_dict()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"type": "ValueError", "message": "bad", "traceback": None}, JobErrorInfo(type="ValueError", message="bad")),
        ("it broke", JobErrorInfo(type="JobError", message="it broke")),
        (None, JobErrorInfo(type="JobError", message="the worker sent no error with status failed")),
    ],
)
def test_any_error_of_a_foreign_worker_is_understood(error: object, expected: JobErrorInfo) -> None:
    assert Result(task_id="t", attempt=1, status=ResultStatus.FAILED, error=error).failure() == expected


def test_a_dead_letter_is_its_command_and_why() -> None:
    command = Command(type="x", task_id="t", callback_stream="s", data={"a": 1})
    letter = DeadLetter.from_redis_dict(command.to_redis_dict() | {"source_stream": "q", "source_id": "1-0", "reason": "poison", "deliveries": "3"})
    assert (letter.task_id, letter.data, letter.reason, letter.deliveries) == ("t", {"a": 1}, "poison", 3)


def test_a_moment_without_a_zone_is_utc() -> None:
    fields = {"task_id": "t", "attempt": "1", "status": "succeeded", "started_at": "2026-01-01T00:00:00", "finished_at": "2026-01-01T00:00:05Z"}
    assert Result.from_redis_dict(fields).runtime_seconds == 5


@pytest.mark.parametrize("schema", ["1", "0", "01", None])
def test_this_schema_and_the_one_before_it_are_read(schema: str | None) -> None:
    fields = {"task_id": "t", "attempt": "1", "status": "succeeded"} | ({} if schema is None else {"schema": schema})
    assert Result.from_redis_dict(fields).task_id == "t"


def test_a_newer_schema_is_told_apart_whatever_its_fields_are_by_then() -> None:
    with pytest.raises(NewerSchema, match="of schema 2, and this version knows 0 and 1"):
        Command.from_redis_dict({"schema": "2", "data": "{", "kind": "?"})


@pytest.mark.parametrize("schema", ["", "one", "-1", "1.5", "²"])
def test_a_schema_that_is_no_number_is_no_message(schema: str) -> None:
    with pytest.raises(DecodeError, match="schema") as caught:
        Result.from_redis_dict({"schema": schema, "task_id": "t", "attempt": "1", "status": "succeeded"})
    assert not isinstance(caught.value, NewerSchema)
