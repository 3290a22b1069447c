"""Replays: a journalled episode as an animated GIF and as an HTML player.

`film` plays the episode again and keeps its pictures, `gif` and `player` show them, `shown` finds the
episode and holds both. Knows the journal and the environment; no gateway, no statistics.
"""

from babyai_kit.replay.episode_replay import Replay, load_replay

__all__ = ["Replay", "load_replay"]
