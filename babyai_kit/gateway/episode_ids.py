"""Ids of plain episodes: UUIDv7, dated so that no gateway takes them for ids from the future.

A gateway refuses an episode whose id its own clock has not reached, and clocks differ and are set back, also
in the middle of an episode that has to keep its id. Nothing depends on the date but the order of episodes in
the UI, so all ids are dated a day back.
"""

from __future__ import annotations

import secrets
import time
import uuid

MARGIN_S = 86_400.0
"""How far a gateway's clock may be behind this machine's, or be set back during a run."""


def new_episode_id() -> str:
    """A fresh UUIDv7 as text, dated MARGIN_S before now."""
    milliseconds = max(0, round((time.time() - MARGIN_S) * 1000)) % (1 << 48)
    bits = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=bits))
