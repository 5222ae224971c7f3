"""A hyperopt's best parameters, applied to one job: as the `<Strategy>.json` that freqtrade reads, beside a link to the strategy in the job's own folder.

freqtrade looks for that file beside the name that it loaded the strategy by. So the user's own file, if there's one, has no effect on this job, and isn't touched.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from freqtrade.strategy.hyper import detect_all_parameters

from workers.claim_check import Artifact
from workers.errors import BadRequest
from workers.freqtrade.json_safe import json_safe
from workers.freqtrade.preparing import Prepared
from workers.freqtrade.running import FreqtradeRun

LARGEST_BYTES = 1 << 20
TRAILING = ("trailing_stop", "trailing_stop_positive", "trailing_stop_positive_offset", "trailing_only_offset_is_reached")
SPECIAL = frozenset({"roi", "stoploss", "trailing", "max_open_trades"})
"""Spaces that aren't parameters of the strategy's own."""

Params = dict[str, dict[str, Any]]
"""Values by space and name."""


def apply_params(run: FreqtradeRun, prepared: Prepared, artifact: Artifact) -> Params:
    """Make freqtrade load the strategy with the parameters of an artifact, and return them.

    Raises:
        BadRequest: the artifact holds no parameters of this strategy, or isn't this store's.
        DataMissing: the artifact isn't there.
    """
    if artifact.size > LARGEST_BYTES:
        raise BadRequest(f"params: {artifact.size} bytes are no best_params.json of a hyperopt")
    folder = run.workspace.root / "applied_params"
    folder.mkdir(exist_ok=True)
    link = folder / prepared.strategy_file.name
    link.unlink(missing_ok=True)
    link.symlink_to(prepared.strategy_file)
    text = run.job.artifacts.get(artifact, link.with_suffix(".json")).read_text(encoding="utf-8", errors="replace")
    params = _checked(text, prepared.strategy_name)
    prepared.config["strategy_path"] = str(folder)
    return params


def check_names(strategy: Any, params: Params) -> None:
    """Refuse parameters that the strategy doesn't have: freqtrade would leave them out in silence.

    Raises:
        BadRequest: names them.
    """
    known = detect_all_parameters(strategy)
    unknown = [f"{space}.{name}" for space in params.keys() - SPECIAL for name in params[space] if name not in known.get(space, {})]
    if unknown:
        raise BadRequest(f"params: no parameters of this strategy (was it changed since the hyperopt?): {', '.join(sorted(unknown))}")


def in_effect(strategy: Any, params: Params) -> dict[str, Any]:
    """What became of the parameters in a run that is done: `applied_params`, and in `params_overridden` those that the config had another value for."""
    used: Params = {space: {name: par.value for name, par in pars.items()} for space, pars in detect_all_parameters(strategy).items()}
    unlimited = strategy.max_open_trades == math.inf
    used |= {
        "roi": {str(minutes): ratio for minutes, ratio in strategy.minimal_roi.items()},
        "stoploss": {"stoploss": strategy.stoploss},
        "trailing": {name: getattr(strategy, name) for name in TRAILING},
        "max_open_trades": {"max_open_trades": -1 if unlimited else strategy.max_open_trades},
    }
    overridden = [space for space, values in params.items() if space in used and not _same(values, used[space])]
    return {"applied_params": json_safe({space: used[space] for space in params if space in used}), "params_overridden": sorted(overridden)}


def _same(given: Mapping[str, Any], used: Mapping[str, Any]) -> bool:
    return all(used.get(name) == (-1 if value == math.inf else value) for name, value in given.items())


def _checked(text: str, strategy_name: str) -> Params:
    try:
        document = json.loads(text)
    except ValueError:
        raise BadRequest("params: the artifact is no JSON") from None
    if not isinstance(document, dict) or not isinstance(document.get("params"), dict) or document.get("ft_stratparam_v") != 1:
        raise BadRequest("params: the artifact isn't laid out as freqtrade's parameter files are; best_params.json of a hyperopt is")
    if document.get("strategy_name") != strategy_name:
        raise BadRequest(f"params: the artifact holds parameters of another strategy than {strategy_name}")
    params: Params = document["params"]
    for space, values in params.items():
        if not isinstance(values, dict) or not all(value is None or isinstance(value, str | int | float | bool) for value in values.values()):
            raise BadRequest(f"params: {space if space.isidentifier() else 'a space'}: each parameter is a number, a text, true, false or null")
    return params
