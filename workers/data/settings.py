"""What a data worker sees: freqtrade's folders, and how to get out to the network."""

from __future__ import annotations

from pydantic import Field

from workers.freqtrade.settings import FreqtradeSettings


class DataSettings(FreqtradeSettings):
    """The data folder and the markets are written here, and by this worker only; folders are made when they are missing."""

    http_proxy: str | None = Field(default=None, validation_alias="HTTP_PROXY", repr=False)
    """These four aren't read here: a job's process sees the variables that are declared, and the libraries look for them."""
    https_proxy: str | None = Field(default=None, validation_alias="HTTPS_PROXY", repr=False)
    no_proxy: str | None = Field(default=None, validation_alias="NO_PROXY")
    ssl_cert_file: str | None = Field(default=None, validation_alias="SSL_CERT_FILE")

    def problems(self) -> list[str]:
        """Files that aren't there."""
        if self.config is not None and not self.config.is_file():
            return [f"FREQTRADE_CONFIG: no such file: {self.config.absolute()}; no job can run"]
        return []
