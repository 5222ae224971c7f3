"""The two layers of a job's config: the worker's own file, which is trusted, under what the call brings, which is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from streams.errors import SettingsError
from workers.errors import BadRequest, DataMissing
from workers.freqtrade.config.keys import CONFIG, EXCHANGE, Section
from workers.freqtrade.config.policy import JudgedConfig, judge
from workers.freqtrade.config.values import known_keys, wrong_values

FIXED_BY_THE_JOB = frozenset(
    {"user_data_dir", "datadir", "exportdirectory", "exportfilename", "logfile", "add_config_files", "config_files", "db_url"}
)
A_SECRETS_KEY = re.compile(r"(^|_|[a-z])(key|secret|token|password|passwd|passphrase|credential)s?$|secret|passw", re.IGNORECASE)
REQUIRED = ("exchange", "stake_currency", "stake_amount")
CREDENTIALS = frozenset(EXCHANGE.refused) - {"_ft_has_params", "demo_trading"}


def judge_call(config: Mapping[str, Any], section: Section = CONFIG) -> JudgedConfig:
    """Judge a call's config by the table of its kind of job and the installed freqtrade.

    Raises:
        BadRequest: names each refused key and why.
    """
    from freqtrade import __version__

    judged = judge(config, section, known=known_keys(), version=__version__)
    if judged.refused:
        raise BadRequest("config refused:\n  " + "\n  ".join(f"{key}: {reason}" for key, reason in judged.refused.items()))
    return judged


def load_base(file: Path | None, section: Section = CONFIG) -> dict[str, Any]:
    """The worker's trusted config, without what this kind of job has no use for.

    Secrets are left out here, since freqtrade stores the config in its result files.

    Raises:
        DataMissing: FREQTRADE_CONFIG names no file.
        SettingsError: the file is no JSON.
    """
    config = {key: value for key, value in read_base(file).items() if key not in FIXED_BY_THE_JOB | set(section.ignored)}
    exchange = config.get("exchange")
    if isinstance(exchange, dict):
        config["exchange"] = {key: value for key, value in exchange.items() if key not in CREDENTIALS}
    cleaned: dict[str, Any] = _without_secrets(config)
    return cleaned


def _without_secrets(value: Any) -> Any:
    """Without the texts of keys that look like a secret's, also of a user's own, such as `{"sentiment": {"api_key": "..."}}`."""
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if not (isinstance(item, str) and A_SECRETS_KEY.search(str(key)))}
        return {key: _without_secrets(item) for key, item in kept.items()}
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def read_base(file: Path | None) -> dict[str, Any]:
    """Read the worker's trusted config as freqtrade does: comments, `add_config_files`.

    Raises:
        DataMissing: FREQTRADE_CONFIG names no file.
        SettingsError: the file is no JSON.
    """
    if file is None:
        return {}
    if not file.is_file():
        raise DataMissing(f"FREQTRADE_CONFIG: no such file: {file}")
    from freqtrade.configuration.load_config import load_from_files
    from freqtrade.exceptions import OperationalException

    try:
        config: dict[str, Any] = load_from_files([str(file)])
    except OperationalException:
        # freqtrade's message quotes the lines around the mistake, which may hold a secret that isn't the caller's to see.
        raise SettingsError(f"FREQTRADE_CONFIG: {file}, or a file that it adds, is no JSON; `freqtrade show-config` says where") from None
    return config


def effective(base: dict[str, Any], call: Mapping[str, Any], amend: Callable[[dict[str, Any]], dict[str, Any]] = dict) -> dict[str, Any]:
    """Lay the call's config over the base, object by object, as freqtrade merges several config files.

    The defaults are those without which freqtrade refuses to start and which change no number of a backtest; `amend` makes the last changes.

    Raises:
        BadRequest: names each value that freqtrade doesn't take, and each key that is missing.
    """
    from freqtrade.misc import deep_merge_dicts

    pricing = {"price_side": "same", "use_order_book": True, "order_book_top": 1}
    defaults: dict[str, Any] = {
        "pairlists": [{"method": "StaticPairList"}],
        "entry_pricing": dict(pricing),
        "exit_pricing": dict(pricing),
        "dry_run": True,
    }
    merged: dict[str, Any] = json.loads(json.dumps(defaults))
    for layer in (base, call):
        merged = deep_merge_dicts(json.loads(json.dumps(layer)), merged)
    merged = amend(merged)
    lines = [f"{key}: needed, in the call's config or in the worker's" for key in REQUIRED if key not in merged] + wrong_values(merged)
    if lines:
        raise BadRequest("config:\n  " + "\n  ".join(lines))
    return merged
