"""Replays: a journalled episode as an animated GIF and as an HTML player.

`view` is an episode as data, `world` what happened in the level, `ways` how to succeed, `prompts` what the
model was asked; `tiles` are what all pictures are made of. `gif` and `player` present an episode, `captions`
describes it, `episode_replay` finds it and saves either.
"""

from babyai_kit.replay.episode_replay import Replay, load_replay

__all__ = ["Replay", "load_replay"]
