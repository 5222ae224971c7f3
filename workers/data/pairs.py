"""From the pairs of a call to those of the exchange."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from difflib import get_close_matches

from workers.errors import BadRequest

SHOWN = 10


def expand_pairs(asked: Sequence[str], tradable: Collection[str], ended: Collection[str]) -> list[str]:
    """The pairs that are meant, each once, as freqtrade expands patterns.

    Args:
        asked: pairs, or patterns such as `.*/USDT`.
        tradable: what may be downloaded.
        ended: pairs of the exchange whose trading has ended, and which weren't asked for.

    Raises:
        BadRequest: names each that the exchange doesn't have, and pairs that look like it.
    """
    from freqtrade.plugins.pairlist.pairlist_helpers import expand_pairlist

    found: list[str] = []
    problems: list[str] = []
    available = list(tradable)
    for pair in asked:
        try:
            matches = expand_pairlist([pair], available)
        except ValueError as exc:
            raise BadRequest(f"pairs: {exc}") from None
        if not matches:
            problems.append(_why_not(pair, available, ended))
        found += matches
    if problems:
        more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
        raise BadRequest("pairs:\n  " + "\n  ".join([*problems[:SHOWN], *more]))
    return list(dict.fromkeys(found))


def _why_not(pair: str, available: Sequence[str], ended: Collection[str]) -> str:
    if pair.upper() in ended:
        return f"{pair}: its trading has ended; include_inactive=True takes it"
    base = re.split(r"[/_:-]", pair.upper(), maxsplit=1)[0]
    same_base = sorted(known for known in available if known.startswith(f"{base}/"))
    near = list(dict.fromkeys([*get_close_matches(pair.upper(), available, n=3, cutoff=0.6), *same_base[:3]]))
    if not near:
        return f"{pair}: the exchange has no such pair"
    return f"{pair}: the exchange has no such pair; near it: {', '.join(near)}"
