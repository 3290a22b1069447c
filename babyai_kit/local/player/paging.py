"""Lists of the API, a page at a time, as OpenAI cuts them.

Knows `limit` and `after`; nothing of what the lists hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from babyai_kit.local.player.chat_request import ProtocolError


def page(
    objects: Sequence[dict[str, Any]], query: Mapping[str, str], *, default: int, most: int
) -> dict[str, Any]:
    """The page of `objects` (in listing order, each with an `id`) that `query` asks for.

    Raises ProtocolError (400) for a limit outside 1 to `most` or an `after` that is not in the list.
    """
    limit = default
    if "limit" in query:
        try:
            limit = int(query["limit"])
        except ValueError:
            limit = 0
        if not 1 <= limit <= most:
            raise ProtocolError(400, f"Invalid 'limit': expected an integer from 1 to {most}.", param="limit")
    start = 0
    if after := query.get("after"):
        places = [index for index, found in enumerate(objects) if found["id"] == after]
        if not places:
            raise ProtocolError(400, f"Invalid 'after': no object {after} in this list.", param="after")
        start = places[0] + 1
    data = list(objects[start : start + limit])
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": start + limit < len(objects),
    }
