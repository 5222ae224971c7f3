"""Values of the wrong type or out of range, by freqtrade's own schema: the message names the key and what would be right, never the value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

BOOLEANS = (
    *("position_stacking", "enable_protections", "enable_dynamic_pairlist", "use_custom_stoploss"),
    *("hyperopt_ignore_missing_space", "lookahead_allow_limit_orders"),
)
BEYOND_THE_SCHEMA: dict[str, Any] = {
    "properties": {
        **{key: {"type": "boolean"} for key in BOOLEANS},
        **{key: {"type": "string"} for key in ("timerange", "timeframe_detail", "backtest_notes")},
        **{key: {"type": "integer", "minimum": 0} for key in ("startup_candle_count", "verbosity")},
        "futures_funding_rate": {"type": "number"},
        "pairs": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    }
}
"""What freqtrade takes on its command line or reads from the config without a check."""


def known_keys() -> frozenset[str]:
    """The top-level keys that the installed freqtrade's schema knows."""
    from freqtrade.config_schema import CONF_SCHEMA

    return frozenset(CONF_SCHEMA["properties"])


def wrong_values(config: Mapping[str, Any]) -> list[str]:
    """One line for each value that freqtrade's schema doesn't take.

    freqtrade's own message is the validator's, which quotes the value and leaves out the key.
    """
    from freqtrade.config_schema import CONF_SCHEMA
    from jsonschema import Draft4Validator

    lines = []
    for error in [*Draft4Validator(CONF_SCHEMA).iter_errors(config), *Draft4Validator(BEYOND_THE_SCHEMA).iter_errors(config)]:
        path = ".".join(str(part) for part in error.absolute_path)
        lines.append(f"{path or 'config'}: {_expectation(str(error.validator), error.validator_value, error)}")
    return sorted(set(lines))  # one error for each key that is missing, which one line names all


def _expectation(validator: str, expected: Any, error: Any) -> str:
    match validator:
        case "type":
            return f"must be {' or '.join(expected) if isinstance(expected, list) else expected}"
        case "enum":
            return f"must be one of {', '.join(map(str, expected))}"
        case "pattern":
            return f"must be a number, or {expected}"
        case "minimum":
            return f"must be at least {expected}"
        case "maximum" if error.schema.get("exclusiveMaximum") is True:
            return f"must be below {expected}"
        case "maximum":
            return f"must be at most {expected}"
        case "required":
            return f"needs {', '.join(key for key in expected if key not in error.instance)}"
        case "minItems":
            return f"needs at least {expected} item{'s' * (expected != 1)}"
        case "uniqueItems":
            return "must not repeat an item"
        case _:
            return f"breaks freqtrade's rule '{validator}'"
