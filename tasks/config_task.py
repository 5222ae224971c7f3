"""Tasks whose second argument is a freqtrade config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bridge import StreamTask
from workers.freqtrade.config.keys import CONFIG, Section
from workers.freqtrade.config.sending import fit_to_send


class ConfigTask(StreamTask):
    """Called as `(strategy_name, config, ...)`: secrets in the config are refused by the caller's own process, before anything is sent."""

    abstract = True

    history: ClassVar[Mapping[str, str]] = {"strategy": "args.strategy_name"}
    section: Section = CONFIG
    """The table of keys that its jobs take."""
    config_position = 1
    """Where the config is among the positional arguments."""

    def apply_async(self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """As Celery's.

        Raises:
            BadRequest: the config holds keys that must not be sent.
        """
        positional, named, at = list(args or ()), dict(kwargs or {}), self.config_position
        positional[at : at + 1] = [self.fit(config) for config in positional[at : at + 1]]
        if "config" in named:
            named["config"] = self.fit(named["config"])
        return super().apply_async(positional, named, **options)

    def fit(self, config: Any) -> Any:
        """What may be sent of a config; anything but a mapping is told by the command's model. Called again in the task's body: another producer may have sent it."""
        return fit_to_send(config, self.section) if isinstance(config, Mapping) else config
