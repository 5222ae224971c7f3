"""Settings come from environment variables, are validated once, and a bad value names its variable."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from streams.errors import SettingsError


class Settings(BaseSettings):
    """Base of each package's own settings class: a part can only name the variables that it declares."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True, populate_by_name=True)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment once.

        Raises:
            SettingsError: names each variable with a bad value, and says what is wrong with it.
        """
        try:
            return cls(**overrides)
        except ValidationError as exc:
            lines = [": ".join((cls.variable(error["loc"][0]), *_path(error["loc"][1:]), error["msg"])) for error in exc.errors()]
            raise SettingsError("bad settings:\n  " + "\n  ".join(lines)) from None

    def problems(self) -> list[str]:
        """What is well-formed but won't work as things are now, such as a folder that isn't there; told at start, as it may come yet."""
        return []

    @classmethod
    def variable(cls, field: object) -> str:
        """The environment variable of a field."""
        info = cls.model_fields.get(str(field))
        if info is not None and isinstance(info.validation_alias, str):
            return info.validation_alias
        return str(cls.model_config.get("env_prefix", "") + str(field)).upper()


def _path(within: tuple[int | str, ...]) -> tuple[str, ...]:
    """Where in a variable's value the mistake is, if that can be told."""
    return (".".join(map(str, within)),) if within else ()
