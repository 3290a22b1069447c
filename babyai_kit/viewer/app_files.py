"""The files of the browser application, and the policy under which they run."""

from __future__ import annotations

import re
from importlib.resources import files

from babyai_kit.replay.tiles import tiles_js

_NAME = re.compile(r"[a-z0-9_-]+\.(js|css)")
_SHARED = ("world.js",)
"""Of `pages`, whose players draw the same world."""
TILES = "tiles.js"
"""Made of minigrid's tiles."""

TYPES = {"js": "text/javascript", "css": "text/css", "html": "text/html"}

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "connect-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
}


def policy(**others: str) -> str:
    """The Content-Security-Policy of the application, with further or other directives: `frame_ancestors`."""
    directives = POLICY | {name.replace("_", "-"): value for name, value in others.items()}
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def index_page() -> str:
    """index.html, whose paths are relative to it."""
    return (files("babyai_kit.viewer") / "app" / "index.html").read_text(encoding="utf-8")


def app_file(name: str) -> str | None:
    """A script or style sheet of the application; None if there is none of that name."""
    if not _NAME.fullmatch(name):
        return None
    if name == TILES:
        return tiles_js()
    room = "babyai_kit.pages" if name in _SHARED else "babyai_kit.viewer"
    file = files(room) / name if name in _SHARED else files(room) / "app" / name
    return file.read_text(encoding="utf-8") if file.is_file() else None


def app_names() -> list[str]:
    """The names of all scripts and style sheets that the page loads."""
    return re.findall(r'(?:src|href)="app/([^"]+)"', index_page())
