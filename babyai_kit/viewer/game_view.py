"""A game as the browser gets it: of the episode that is played, no more than an agent sees."""

from __future__ import annotations

from typing import Any

from babyai_kit.environment.text import VIEW_AHEAD, VIEW_ASIDE, VIEW_SIZE
from babyai_kit.environment.text_env import TextEnv
from babyai_kit.replay.tiles import UP
from babyai_kit.replay.world import WorldRecorder, states
from babyai_kit.runs.records import EpisodeRecord
from babyai_kit.viewer.game import Game, Present


def game_data(game: Game) -> dict[str, Any]:
    """{run, agent, picture, finished, planned, episode}. `episode`: None when all are played, else {id, task,
    seed, distractors, mission, observation, step, maxSteps, past: [{observation, action}], view, ended}."""
    choice, present = game.choice, game.present
    return {
        "run": choice.run,
        "agent": choice.agent,
        "picture": choice.picture,
        "finished": len(game.finished),
        "planned": len(game.keys),
        "episode": None if present is None else _episode(present, picture=choice.picture),
    }


def _episode(present: Present, *, picture: bool) -> dict[str, Any]:
    key, playback = present.key, present.playback
    return {
        "id": present.id,
        "task": key.task,
        "seed": key.seed,
        "distractors": key.num_dists,
        "mission": playback.mission,
        "observation": playback.observation,
        "step": len(present.steps),
        "maxSteps": playback.env.max_steps,
        "past": [{"observation": step.observation, "action": step.action} for step in present.steps],
        "view": _seen(playback.env) if picture else None,
        "ended": None if present.record is None else _ended(present.record),
    }


def _seen(env: TextEnv) -> dict[str, Any]:
    """A world of the 49 squares that the agent looks at, as world.js draws it; what is hidden is empty."""
    recorder = WorldRecorder()
    recorder.add(env)
    (state,) = states(recorder.data or {})
    cells = []
    for number, sign in enumerate(state.seen):
        cell = state.square(number)
        cells.append("" if sign == "0" else "wall" if cell is None else state.cells[cell])
    return {
        "width": VIEW_SIZE,
        "height": VIEW_SIZE,
        "cells": cells,
        "at": [VIEW_ASIDE, VIEW_AHEAD],
        "dir": UP,
        "carrying": state.carrying,
        "seen": state.seen,
    }


def _ended(record: EpisodeRecord) -> dict[str, Any]:
    return {
        "success": bool(record.success),
        "episodeReturn": record.episode_return,
        "steps": record.episode_length,
        "shortest": record.shortest_length,
        "seconds": record.wall_s,
    }
