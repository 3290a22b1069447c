"""Replays: a journalled episode as an animated GIF and as an HTML player.

`film` replays the episode and keeps its pictures, `gif` and `player` present them, `captions` describes the
episode, `episode_replay` finds it and saves either.
"""

from babyai_kit.replay.episode_replay import Replay, load_replay

__all__ = ["Replay", "load_replay"]
