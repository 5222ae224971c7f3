"""The base of everything that goes over a stream: flat string fields, so that any language can take part.

On the wire every field is a string. A field marked `Json` holds nested data as JSON; datetimes are ISO-8601 in UTC; yes is `true`; None and no are left out.

Every message carries the number of its schema. This version and the one before it are read; a later one isn't tried, as its fields may mean something
else by then: it is left for consumers that know it (`NewerSchema`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from streams.bus.codec import decode_json, encode_datetime, encode_json
from streams.errors import DecodeError, NewerSchema

SCHEMA = "1"
"""The schema that this version writes."""
OLDEST_SCHEMA = str(int(SCHEMA) - 1)
"""The oldest that it reads."""


class JsonMark:
    """Marks a field whose value is JSON on the wire."""


Json = Annotated[Any, JsonMark()]


class EventMessage(BaseModel):
    """A message on a stream."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    schema_version: str = Field(default=SCHEMA, alias="schema")

    @field_validator("*", mode="after")
    @classmethod
    def _utc_when_naive(cls, value: Any) -> Any:
        """A moment without a zone is taken as UTC, so that two of them can always be compared."""
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value

    def to_redis_dict(self) -> dict[str, str]:
        """The flat string fields for XADD.

        Raises:
            EncodeError: names the path of the value that can't go over the wire.
        """
        flat: dict[str, str] = {}
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            if value is None or value is False:
                continue
            key = info.alias or name
            if _is_json(info.metadata):
                flat[key] = encode_json(value).decode()
            elif isinstance(value, datetime):
                flat[key] = encode_datetime(value)
            elif value is True:
                flat[key] = "true"
            else:
                flat[key] = str(value)
        return flat

    @classmethod
    def from_redis_dict(cls, fields: dict[str, str]) -> Self:
        """Read a stream entry; unknown fields are ignored, so that N and N-1 understand each other.

        Raises:
            NewerSchema: it is of a later version; leave it for others.
            DecodeError: names each missing or bad field.
        """
        _check_schema(fields.get("schema", SCHEMA))
        values: dict[str, Any] = dict(fields)
        for name, info in cls.model_fields.items():
            key = info.alias or name
            if key in values and _is_json(info.metadata):
                try:
                    values[key] = decode_json(values[key])
                except DecodeError as exc:
                    raise DecodeError(f"{key}: {exc}") from None
        try:
            return cls.model_validate(values)
        except ValidationError as exc:
            problems = "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in exc.errors(include_input=False))
            raise DecodeError(f"not a valid {cls.__name__}: {problems}") from None


def _check_schema(text: str) -> None:
    if not text.isascii() or not text.isdecimal():
        raise DecodeError(f"schema: {text[:20]!r} is no number")
    if int(text[:9]) > int(SCHEMA):
        raise NewerSchema(f"it is of schema {text[:9]}, and this version knows {OLDEST_SCHEMA} and {SCHEMA}")
    if int(text) < int(OLDEST_SCHEMA):
        raise DecodeError(f"schema: {text} is too old; this version knows {OLDEST_SCHEMA} and {SCHEMA}")


def _is_json(metadata: list[Any]) -> bool:
    return any(isinstance(mark, JsonMark) for mark in metadata)
