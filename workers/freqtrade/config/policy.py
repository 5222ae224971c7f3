"""The policy for a call's config, which nobody vouches for: each key is used, ignored with a notice, or refused with a reason.

An allow-list: what no table of `keys` names is refused. Values are never echoed, they may be secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from workers.freqtrade.config.keys import CONFIG, LIVE, PAIRLISTS_REFUSED, PAIRLISTS_USED, SECRET, Section

SUSPECT_KEY = re.compile(r"key|secret|token|passw|credential|url|path|file|dir$|host|proxy|module|machine|(in|out)put_model", re.IGNORECASE)
UNKNOWN_KEY = "not a backtesting option of freqtrade"
SUSPECT_TEXT = re.compile(r"[/\\~\0]|\.\.|\.(py|pkl|joblib|json|txt|model|zip|csv|pt|bin)$", re.IGNORECASE)


class Verdict(Enum):
    """What becomes of one key."""

    USED = "used"
    """It reaches freqtrade."""
    IGNORED = "ignored"
    """It has no meaning in a backtest; the result names it."""
    REFUSED = "refused"
    """The command fails and says which key, and why."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One key, by its dotted path."""

    key: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JudgedConfig:
    """A config and what becomes of each of its keys."""

    clean: dict[str, Any]
    """The used keys with their values."""
    judgements: tuple[Judgement, ...]

    def keys(self, verdict: Verdict) -> tuple[str, ...]:
        return tuple(item.key for item in self.judgements if item.verdict is verdict)

    @property
    def used(self) -> tuple[str, ...]:
        return self.keys(Verdict.USED)

    @property
    def ignored(self) -> dict[str, str]:
        """Each ignored key and why."""
        return {item.key: item.reason for item in self.judgements if item.verdict is Verdict.IGNORED}

    @property
    def refused(self) -> dict[str, str]:
        """Each refused key and why."""
        return {item.key: item.reason for item in self.judgements if item.verdict is Verdict.REFUSED}


def judge(config: Mapping[str, Any], section: Section = CONFIG, *, known: frozenset[str] = frozenset(), version: str = "") -> JudgedConfig:
    """Judge a call's config.

    Args:
        config: freqtrade's config, as the caller sent it.
        section: the table of keys that this kind of job takes.
        known: top-level keys that this freqtrade's schema knows; such a key that no table names is ignored, not refused.
        version: freqtrade's, for the message about an unknown key.
    """
    unknown = f"{UNKNOWN_KEY} {version}".rstrip()
    clean: dict[str, Any] = {}
    judgements = tuple(_judge_section(config, section, clean, prefix="", known=known, unknown=unknown))
    return JudgedConfig(clean=clean, judgements=judgements)


def _judge_section(
    values: Mapping[str, Any], section: Section, clean: dict[str, Any], *, prefix: str, known: frozenset[str], unknown: str
) -> Iterator[Judgement]:
    for key, value in values.items():
        path = f"{prefix}{key}"
        if key in section.sections and isinstance(value, Mapping):
            nested: dict[str, Any] = clean.setdefault(key, {})
            yield from _judge_section(value, section.sections[key], nested, prefix=f"{path}.", known=frozenset(), unknown=unknown)
        elif path == "pairlists" and isinstance(value, list):
            kept = clean.setdefault(key, [])
            for position, pairlist in enumerate(value):
                judgement = _judge_pairlist(pairlist, f"{path}.{position}")
                if judgement.verdict is Verdict.USED:
                    kept.append(pairlist)
                yield judgement
        else:
            judgement = _judge_key(key, value, section, path=path, known=known, unknown=unknown)
            if judgement.verdict is Verdict.USED:
                clean[key] = value
            yield judgement


def _judge_key(key: str, value: object, section: Section, *, path: str, known: frozenset[str], unknown: str) -> Judgement:
    if value is None:  # the caller's side blanks what is ignored (`sending`)
        return Judgement(path, Verdict.IGNORED, section.ignored.get(key, "it is null"))
    if (listed := _by_the_tables(key, value, section, path)) is not None:
        return listed
    if section.open:
        where = _suspect(key, value)
        return (
            Judgement(path, Verdict.USED) if where is None else Judgement(f"{path}{where}", Verdict.REFUSED, "looks like a path, a URL or a secret")
        )
    if key in known:
        return Judgement(path, Verdict.REFUSED, SECRET) if SUSPECT_KEY.search(key) else Judgement(path, Verdict.IGNORED, LIVE)
    return Judgement(_printable(path), Verdict.REFUSED, unknown)


def _by_the_tables(key: str, value: object, section: Section, path: str) -> Judgement | None:
    """The judgement of a key that a table names; None when none does."""
    judgement = None
    if key in section.used or key in section.sections:  # a section that is no object: freqtrade's schema says so
        judgement = Judgement(path, Verdict.USED)
    elif key in section.refused:
        # The keys of an empty config.json: "key": "" and "ccxt_config": {} tell nothing.
        empty = value in ("", {}, [])
        judgement = Judgement(path, Verdict.IGNORED, "it is empty") if empty else Judgement(path, Verdict.REFUSED, section.refused[key])
    elif (rule := section.rules.get(key)) is not None and not rule.accepts(value):
        judgement = Judgement(path, Verdict.REFUSED, rule.reason)
    elif key in section.ignored:
        judgement = Judgement(path, Verdict.IGNORED, section.ignored[key])
    elif rule is not None:
        judgement = Judgement(path, Verdict.USED)
    return judgement


def _judge_pairlist(pairlist: object, path: str) -> Judgement:
    method = pairlist.get("method") if isinstance(pairlist, Mapping) else None
    if not isinstance(method, str):
        return Judgement(f"{path}.method", Verdict.REFUSED, "each pairlist has a method, such as StaticPairList")
    if method in PAIRLISTS_REFUSED:
        return Judgement(f"{path}.method", Verdict.REFUSED, f"{method}: {PAIRLISTS_REFUSED[method]}")
    if method not in PAIRLISTS_USED:
        return Judgement(f"{path}.method", Verdict.REFUSED, f"must be one of {', '.join(sorted(PAIRLISTS_USED))}")
    return Judgement(path, Verdict.USED)


def _suspect(key: str, value: object) -> str | None:
    """The path below `key` of the first thing that a model's parameters shouldn't hold; None when there is none."""
    if isinstance(value, Mapping):
        return next((f".{_printable(name)}{found}" for name, item in value.items() if (found := _suspect(name, item)) is not None), None)
    if isinstance(value, list):
        return next((f".{position}{found}" for position, item in enumerate(value) if (found := _suspect(key, item)) is not None), None)
    if not isinstance(value, str):
        return None
    # Pairs hold a slash and a colon and are the one text of FreqAI that does.
    if key == "include_corr_pairlist":
        return None if re.fullmatch(r"[A-Za-z0-9]+/[A-Za-z0-9]+(:[A-Za-z0-9]+)?", value) else ""
    return "" if SUSPECT_TEXT.search(value) or (SUSPECT_KEY.search(key) and value) else None


def _printable(path: str) -> str:
    """An unknown key is the caller's text: keep what could be a key, so that no message carries something pasted by mistake."""
    return path if re.fullmatch(r"[\w.$-]{1,100}", path) else "(a key that is no word)"
