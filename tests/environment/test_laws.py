"""Laws that hold for any sequence of actions, whatever the task and the seed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from minigrid.core.world_object import Key

from babyai_kit.environment import TASKS, make_env
from babyai_kit.environment.text import describe, view_from
from tests.support.observation_reference import tell
from tests.support.policies import DROP, PICK_UP, TOGGLE, episodes, play


class Referee:
    """Decides from the grid alone, by the rules as they are written, whether a step was the success."""

    def __init__(self, env: Any) -> None:
        self.env = env
        self.kind = env.task.name
        self.in_order = not env.mission.startswith("go to") or self.kind == "goto"
        self.picked = False
        instrs = env.instrs
        if self.kind == "pick_up_seq_go_to":
            before, after = instrs.instr_a, instrs.instr_b
            pick, go = (before, after) if self.in_order else (after, before)
            self.move, self.goal = list(pick.desc.obj_set), list(go.desc.obj_set)
        elif self.kind == "putnext":
            self.move, self.goal = list(instrs.desc_move.obj_set), list(instrs.desc_fixed.obj_set)
        else:
            self.move = self.goal = list(instrs.desc.obj_set)
        self.cached = self.positions(self.goal)

    def positions(self, objects: list[Any]) -> list[tuple[int, int]]:
        grid = self.env.grid
        return [
            (x, y)
            for x in range(grid.width)
            for y in range(grid.height)
            if any(grid.get(x, y) is obj for obj in objects)
        ]

    def succeeded(self, action: int, held_before: Any) -> bool:
        env = self.env
        x, y = env.agent_pos
        dx, dy = [(1, 0), (0, 1), (-1, 0), (0, -1)][env.agent_dir]
        front = (x + dx, y + dy)
        if action == DROP:
            self.cached = self.positions(self.goal)
        took = action == PICK_UP and held_before is None and any(env.carrying is obj for obj in self.move)
        if self.kind == "goto":
            return front in self.cached
        if self.kind == "pickup":
            return took
        if self.kind == "open":
            door = env.grid.get(*front)
            return action == TOGGLE and door is self.goal[0] and door.is_open
        if self.kind == "putnext":
            dropped = action == DROP and env.carrying is None and any(held_before is o for o in self.move)
            return dropped and any(
                abs(front[0] - i) + abs(front[1] - j) == 1 for i, j in self.positions(self.goal)
            )
        self.picked = self.picked or took
        return self.picked and front in self.cached


@settings(max_examples=150)
@given(episodes)
def test_laws(episode: tuple[str, int, int, list[int]]) -> None:
    task, num_dists, seed, choices = episode
    env = make_env(task, num_dists=num_dists)
    observation, info = env.reset(seed=seed)
    referee = Referee(env)
    stream = env.np_random.bit_generator.state
    mission = observation["mission"]
    episode_text, actions = [(observation, info)], []
    for count, action in enumerate(play(env, choices), start=1):
        actions.append(action)
        load = env.carrying
        observation, reward, terminated, truncated, info = env.step(action)
        episode_text.append((observation, info))
        assert env.step_count == count
        # The text mentions all that is visible and nothing else.
        assert observation == {"mission": mission, "text": tell(env)}
        assert env.observation_space.contains(observation)
        x, y = env.agent_pos
        assert 0 < x < env.width - 1
        assert 0 < y < env.height - 1
        assert x != 7 or env.task.columns == 1
        # Reward, end and progression follow from success and the count alone.
        success = referee.succeeded(action, load)
        assert terminated is success
        assert truncated is (count >= env.max_steps)
        assert reward == (1 - 0.9 * (count / env.max_steps) if success else 0)
        assert info == {"progression": float(success)}
    assert env.np_random.bit_generator.state == stream
    # The seed and the actions determine the episode: a fresh environment shows the same.
    again = make_env(task, num_dists=num_dists)
    second_text = [again.reset(seed=seed)]
    for action in actions:
        observation, _, _, _, info = again.step(action)
        second_text.append((observation, info))
    assert second_text == episode_text


@settings(max_examples=60)
@given(episodes)
def test_light_changes_no_text_of_the_tasks(episode: tuple[str, int, int, list[int]]) -> None:
    task, num_dists, seed, choices = episode
    env = make_env(task, num_dists=num_dists)
    env.reset(seed=seed)
    for action in play(env, choices):
        env.step(action)
        view = view_from(env.grid.width, env.grid.height, *env.agent_pos, env.agent_dir)
        lit, plain = (describe(env.grid.grid, view, env.carrying, see_through=s) for s in (False, True))
        assert lit == plain


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("num_dists", [0, 8])
def test_levels_are_fair(task: str, num_dists: int) -> None:
    env = make_env(task, num_dists=num_dists)
    for seed in range(100):
        observation, _ = env.reset(seed=seed)
        assert observation["mission"] == env.instrs.surface(env)
        for held_out in ("yellow box", "red key", "red door", "green ball", "grey door"):
            assert held_out not in observation["mission"]
        needed = {"open": 2, "putnext": 2, "pick_up_seq_go_to": 2}.get(task, 1)
        assert len(env.objects) == needed + num_dists
        assert env.check_objs_reachable(raise_exc=False)
        front = env.grid.get(*env.front_pos)
        assert front is None or front.type == "wall"
        if task == "open":
            door, key = env.objects[:2]
            assert door.is_locked
            assert isinstance(key, Key)
            assert key.color == door.color
            assert (env.agent_pos[0] < 7) == (key.cur_pos[0] < 7)
