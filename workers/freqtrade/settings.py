"""Where a worker that runs freqtrade finds its inputs. It can name no secret: no Redis URL, no exchange key."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from streams.settings import Settings


class FreqtradeSettings(Settings):
    """The folders of freqtrade's `user_data`, each of which may lie elsewhere."""

    user_data: Path = Field(default=Path("user_data"), validation_alias="FREQTRADE_USER_DATA")
    """freqtrade's user_data folder; the defaults below lie in it. Read, never written; but see `FreqAISettings`."""
    strategies: Path | None = Field(default=None, validation_alias="FREQTRADE_STRATEGIES")
    """Strategies, their helper modules and `<Strategy>.json`; default `<user_data>/strategies`."""
    datadir: Path | None = Field(default=None, validation_alias="FREQTRADE_DATADIR")
    """Candles; default `<user_data>/data/<exchange>`, as freqtrade's own."""
    config: Path | None = Field(default=None, validation_alias="FREQTRADE_CONFIG")
    """A trusted config file that lies under each call's config; default none."""
    markets: Path | None = Field(default=None, validation_alias="FREQTRADE_MARKETS")
    """Market snapshots; default `<user_data>/markets`."""

    def problems(self) -> list[str]:
        """Folders and files that aren't there."""
        found = []
        if not self.strategies_folder.is_dir():
            found.append(f"FREQTRADE_STRATEGIES (or FREQTRADE_USER_DATA): no such folder: {self.strategies_folder}; no job can run")
        if self.datadir is not None and not self.datadir.is_dir():
            found.append(f"FREQTRADE_DATADIR: no such folder: {self.datadir.absolute()}; no job can run")
        if self.config is not None and not self.config.is_file():
            found.append(f"FREQTRADE_CONFIG: no such file: {self.config.absolute()}; no job can run")
        if self.markets is not None and not self.markets.is_dir():
            found.append(f"FREQTRADE_MARKETS: no such folder: {self.markets.absolute()}; markets are made up")
        return found

    @property
    def strategies_folder(self) -> Path:
        return (self.strategies or self.user_data / "strategies").absolute()

    @property
    def freqaimodels_folder(self) -> Path:
        return (self.user_data / "freqaimodels").absolute()

    @property
    def hyperopts_folder(self) -> Path:
        return (self.user_data / "hyperopts").absolute()

    @property
    def markets_folder(self) -> Path:
        return (self.markets or self.user_data / "markets").absolute()

    def candles_folder(self, exchange: str) -> Path:
        """The candles of one exchange."""
        return (self.datadir or self.user_data / "data" / exchange.lower()).absolute()


class FreqAISettings(FreqtradeSettings):
    """Where workers that make or use FreqAI models find the key too that model artifacts are signed with.

    The key is a file, so that it is in no environment, and its name may be. By default it lies in `user_data`, where the workers of one host find the same
    one: who can write there can run code on the worker anyway, by a strategy. Beside the artifacts it would lie with what it has to vouch for.
    """

    model_signing_key_file: Path | None = Field(default=None, validation_alias="MODEL_SIGNING_KEY_FILE")
    """At least 32 characters, the same file for each worker that makes or uses models; default `<user_data>/model_signing.key`, made by the first training."""

    def problems(self) -> list[str]:
        """Folders and files that aren't there."""
        found = super().problems()
        if self.model_signing_key_file is not None and not self.model_signing_key_file.is_file():
            found.append(f"MODEL_SIGNING_KEY_FILE: no such file: {self.model_signing_key_file.absolute()}; no FreqAI model can be stored or used")
        return found

    @property
    def signing_key(self) -> Path:
        """The key's file."""
        return (self.model_signing_key_file or self.user_data / "model_signing.key").absolute()
