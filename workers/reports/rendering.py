"""From a template and its data to one file: styles, scripts and data are inlined, and nothing but them can run.

Texts on a page come from strategies and calls. Three things keep them texts: Jinja escapes what it writes, data for the scripts is JSON that can't end its
element, and the page's own policy (CSP) lets the browser run only the scripts whose hash it names, and fetch nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workers.reports.formats import FILTERS

HERE = Path(__file__).parent
STYLES = ("uPlot.min.css", "report.css")
ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def render(template: str, context: dict[str, Any], *, data: Any, scripts: Sequence[str]) -> bytes:
    """A whole page.

    Args:
        template: its name.
        context: for the template.
        data: for the scripts, which find it in the element `data`.
        scripts: files of `static/`, in their order.
    """
    sources = [_static(name) for name in scripts]
    text = (
        _environment()
        .get_template(template)
        .render(
            context,
            styles=Markup("\n".join(_static(name) for name in STYLES)),  # noqa: S704 - files of this package
            scripts=[Markup(source) for source in sources],  # noqa: S704 - the same
            policy=_policy(sources),
            data=script_json(data),
        )
    )
    return text.encode("utf-8", "replace")  # a tag may hold half a surrogate pair


def script_json(value: Any) -> Markup:
    """JSON for a script element: it holds neither `</script` nor `<!--`, nor a line end that is none in JSON."""
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # a tag may hold half a surrogate pair
        text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character, escape in ESCAPED.items():
        text = text.replace(character, escape)
    return Markup(text)  # noqa: S704 - escaped above


def _policy(sources: Sequence[str]) -> str:
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'" for source in sources)
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {hashes}; base-uri 'none'; form-action 'none'"


def preload_templates() -> None:
    """Compile them before a warm child server forks, so that no job has to."""
    for name in _environment().list_templates():
        _environment().get_template(name)


@cache
def _static(name: str) -> str:
    return (HERE / "static" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= FILTERS
    return environment
