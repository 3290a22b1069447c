"""Requests to a viewer."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

Answer = tuple[int, dict[str, str], bytes]


def ask(address: str, path: str = "", method: str = "GET", **headers: str) -> Answer:
    """(status, headers, body) of a request below the viewer's `address`; `path` may be absolute."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path if path.startswith("/") else parts.path + path, headers=names)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.headers), body


def data(address: str, *path: str, **query: str) -> Any:
    """What `api/PATH?QUERY` answers."""
    where = "api/" + "/".join(quote(part, safe="") for part in path)
    status, _, body = ask(address, f"{where}?{urlencode(query)}" if query else where)
    assert status == 200, body
    return json.loads(body)
