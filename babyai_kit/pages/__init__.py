"""HTML pages from the templates beside this file: self-contained, and safe with any text in them.

Three walls stand between text that others wrote and the reader's browser: it is escaped by default; a page's
policy (CSP) runs no script but the kit's own, known by its digest, and loads nothing from anywhere; a page
inside another one is a sandboxed frame.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timezone
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from babyai_kit.hostile_text import visible


def page(template: str, **values: Any) -> str:
    """The page that `template` makes of `values`; text in them is escaped, Markup is not."""
    return _environment().get_template(template).render(values)


def part(name: str) -> Markup:
    """A style sheet or script of this folder, to be put into a page."""
    return Markup(files(__package__).joinpath(name).read_text(encoding="utf-8"))


def script(name: str) -> Markup:
    """A script of this folder without the comments and spaces at the beginning of its lines, which a reader
    of the page does not need."""
    lines = (line.strip() for line in part(name).splitlines())
    return Markup("\n".join(line for line in lines if line and not line.startswith("//")))


def policy(*scripts: str) -> str:
    """The Content-Security-Policy of a page with these inline scripts (and pages with them inside)."""
    digests = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"


def data_uri(data: bytes, kind: str) -> str:
    """`data` of the media type `kind` (like image/png) as an address."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def json_block(value: Any) -> Markup:
    """`value` as JSON for a <script type="application/json">, which no text in it can end."""
    text = json.dumps(value, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def frame(inner_page: str, title: str, height: int) -> Markup:
    """A page inside another one: its scripts see nothing of the outer page.

    `height`: in pixels, until the page tells its own to the outer page's script frames.js.
    """
    source = inner_page.replace("&", "&amp;").replace("'", "&#39;")
    return Markup(
        f"<iframe class='babyai-frame' title='{Markup.escape(visible(title))}' sandbox='allow-scripts' "
        f"srcdoc='{source}' style='box-sizing:border-box;display:block;"
        f"width:100%;height:{int(height)}px;border:1px solid #ccc;border-radius:6px'></iframe>"
    )


@lru_cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("babyai_kit", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.filters["when"] = _when
    return environment


def _when(time: str) -> str:
    """A time in ISO 8601, to the minute: 2026-01-31 14:05 UTC."""
    return f"{datetime.fromisoformat(time).astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _finalize(value: Any) -> Any:
    """What a template prints for `value`: text that others wrote is made visible first."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
