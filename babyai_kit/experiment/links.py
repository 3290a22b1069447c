"""An address shown to the user: in a notebook a link, elsewhere a line."""

from __future__ import annotations

import html
import sys


def show_link(text: str, url: str) -> None:
    """Show `text` and `url`; as a link where a notebook displays the output."""
    line = f"{text}: {url}"
    if not _in_notebook():
        print(line)
        return
    from IPython.display import display

    link = f'<a href="{html.escape(url)}" target="_blank" rel="noopener">{html.escape(url)}</a>'
    display({"text/plain": line, "text/html": f"{html.escape(text)}: {link}"}, raw=True)


def _in_notebook() -> bool:
    """True in a Jupyter kernel; IPython in a terminal has none."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None
