"""Whether a request is meant for this machine, and comes from no foreign web page.

Browsers send pages' requests to 127.0.0.1 and to machines nearby too, and a foreign name may lead there (DNS
rebinding). Headers are compared as text: what a parser would make of a malformed one does not matter.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

_NAMES = {"127.0.0.1", "localhost", "[::1]"}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")
_NEARBY = re.compile(r"\[.*\]|[0-9.]+|[^.]+")
"""Addresses, and names that no stranger can own, since they have no dot: a container's, or a neighbour's."""
_SITE = re.compile(r"https?://([^/?#\\]*)(?:[/?#].*)?", re.IGNORECASE | re.DOTALL)


def foreign_reason(
    request: web.BaseRequest, *, names: Collection[str] = (), nearby: bool = False, linked: bool = False
) -> str | None:
    """Why `request` must be refused, as a clause that repeats nothing of it; None if it need not be.

    `names`: what this machine is called besides 127.0.0.1 and localhost, in lower case. `nearby`: containers
    or machines nearby may ask, by any address of this one or a name without a dot. `linked`: the request is
    for a page to which any site may lead a browser, such as one whose address is a secret.
    """
    headers = request.headers
    hosts = headers.getall("Host", [])
    match = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
    name = match.group(1).lower() if match else ""
    known = name in _NAMES.union(names) or (nearby and _NEARBY.fullmatch(name) is not None)
    if match is None or not known or not 0 < int(match.group(2) or 80) < 65536:
        others = ", addresses and names without a dot" if nearby else ""
        return f"this server answers to 127.0.0.1 and localhost{others} only"
    if not request.raw_path.startswith("/"):
        return "the target of a request must be a path"
    if linked and headers.get("Sec-Fetch-Mode", "navigate") == "navigate":
        return None
    for header in ("Origin", "Referer"):
        for origin in headers.getall(header, []):
            site = _SITE.fullmatch(origin)
            # Another port of this machine is another site, too: a notebook shows what models wrote.
            if site is None or site.group(1).lower() != hosts[0].lower():
                return f"requests with a foreign {header} are refused"
    if any(value not in ("none", "same-origin") for value in headers.getall("Sec-Fetch-Site", [])):
        return "requests from other sites are refused"
    return None
