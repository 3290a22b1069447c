"""An episode as data: what it says is what was recorded and what the environment shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from babyai_kit.environment import ACTIONS, make_env, shortest_length
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import InputError, ModelError
from babyai_kit.failures import observe
from babyai_kit.hostile_text import visible
from babyai_kit.replay.view import episode_view
from babyai_kit.replay.ways import way_from
from babyai_kit.replay.world import states
from babyai_kit.runs.run import Run
from babyai_kit.runs.trajectories import Trajectory
from tests.replay.test_replay import HOSTILE
from tests.support.journals import Reply, expert, idle, play, seed_where, walk_to, write_run

ROOMS = "BabyAI-GoToObjMaze-v0"


def opener(env: Any, mission: str) -> Any:
    """Walks to the box that the mission names, opens it and goes on."""
    yield from walk_to(env, f"{env.objects[0].color} box")
    yield from ("toggle", "turn left", "go forward")


BOX = seed_where("pickup", lambda env: env.objects[0].type == "box")
EPISODES = [
    play(expert, task="open", seed=1),
    play([Reply("turn left", thinking=HOSTILE), Reply(raw=HOSTILE), "go forward"], task="putnext", seed=2),
    play(idle, task="goto", seed=2),
    play(["turn left"] * 3, task="goto", seed=3, error=ModelError(HOSTILE, kind="timeout")),
    play(idle, task="goto", seed=5, stop_after=2),
    play(opener, task="pickup", seed=BOX),
    play(expert, task=ROOMS, seed=7),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("results"), EPISODES)


def trajectories(folder: Path) -> dict[tuple[str, int], Trajectory]:
    return {(t.key.task, t.key.seed): t for t in Run.open("r", results=folder.parent).trajectories()}


def test_the_view_is_json_and_says_what_was_recorded(run: Path) -> None:
    for trajectory in trajectories(run).values():
        view = episode_view(trajectory)
        text = json.dumps(view, allow_nan=False)
        assert json.loads(text) == view
        text.encode()
        assert view["outcome"] == trajectory.outcome
        assert [s["action"] for s in view["steps"]] == [s.action for s in trajectory.steps]
        assert [s["observation"] for s in view["steps"]] == [s.observation for s in trajectory.steps]
        assert len(view["world"]["moments"]) == len(trajectory.steps) + 1
        assert view["note"] == "Offline player: not an LLM"
        assert view["notReplayed"] is None
        for state, (env, _) in zip(states(view["world"]), trajectory.states(), strict=True):
            assert (state.at, state.direction) == (env.agent_pos, env.agent_dir)
            assert view["mission"] == env.mission


def test_hostile_text_is_made_visible(run: Path) -> None:
    view = episode_view(trajectories(run)["putnext", 2])
    assert view["steps"][0]["thinking"] == visible(HOSTILE)
    assert view["steps"][1]["answer"] == visible(HOSTILE)
    assert view["steps"][1]["valid"] is False
    assert view["steps"][1]["reason"] == "another form"
    assert view["steps"][0]["reason"] is None
    error = episode_view(trajectories(run)["goto", 3])
    assert error["outcome"] == "error"
    assert error["error"].startswith("timeout: <script>")
    assert visible(error["error"]) == error["error"]


def test_a_failure_has_its_class_its_fatal_step_and_its_repeats(run: Path) -> None:
    view = episode_view(trajectories(run)["pickup", BOX])
    assert view["failure"]["name"] == "goal_destroyed"
    assert view["failure"]["label"] == "box of the mission destroyed"
    assert view["steps"][view["fatal"]]["action"] == "toggle"
    idle = trajectories(run)["goto", 2]
    view = episode_view(idle)
    assert view["failure"]["name"] == "loop"
    assert view["failure"]["text"].startswith("At least half of its steps")
    assert view["fatal"] is None
    # Turning left four times is the state of the beginning.
    assert [step["repeats"] for step in view["steps"]] == [None] * 4 + [i % 4 for i in range(60)]
    assert observe(idle).repeated_steps == 60


def test_of_an_unfinished_episode_is_said_what_is_known(run: Path) -> None:
    view = episode_view(trajectories(run)["goto", 5])
    assert view["outcome"] == "unfinished"
    assert view["outcomeText"] == "Unfinished: 2 steps so far"
    assert view["failure"] is view["fatal"] is view["error"] is None
    assert view["maxSteps"] == 64
    env = make_env("goto")
    env.reset(seed=5)
    assert view["shortest"] == shortest_length(env) == len(view["way"]["actions"])
    assert view["lastObservation"]
    assert episode_view(trajectories(run)["goto", 5], way=False)["way"] is None


def test_an_episode_that_does_not_replay_keeps_its_steps(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [play(expert, seed=1), play(expert, task="open", seed=2)])
    file = folder / "steps.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[2]["observation"] += "\na blue dragon 1 step forward"
    last = max(i for i, line in enumerate(lines) if line["seed"] == 2)
    del lines[last - 1]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    changed, lost = (episode_view(t) for t in trajectories(folder).values())
    for view, reason in ((changed, "does not replay"), (lost, "has no line for step")):
        assert reason in view["notReplayed"]
        assert view["world"] is view["way"] is view["failure"] is None
        assert view["steps"]
        assert all(step["repeats"] is None for step in view["steps"])
    assert changed["steps"][2]["observation"].endswith("dragon 1 step forward")
    assert changed["maxSteps"] == 64


def played(way: dict[str, Any], trajectory: Trajectory, step: int) -> float:
    """The reward at the end of `way`, whose cells are the agent's."""
    key = trajectory.key
    playback = Playback(key.task, seed=key.seed, num_dists=key.num_dists)
    for action in [s.action for s in trajectory.steps[:step]]:
        playback.step(action)
    cells = [[*playback.env.agent_pos]]
    for action in way["actions"]:
        assert action in ACTIONS
        playback.step(action)
        cells.append([*playback.env.agent_pos])
    assert cells == way["cells"]
    return playback.reward


def test_a_way_succeeds_and_is_named_after_who_found_it(run: Path) -> None:
    for trajectory in trajectories(run).values():
        way = episode_view(trajectory)["way"]
        assert played(way, trajectory, 0) > 0
        rooms = trajectory.key.task == ROOMS
        assert way["kind"] == ("expert" if rooms else "shortest")
        if not rooms:
            env = make_env(trajectory.key.task)
            env.reset(seed=trajectory.key.seed)
            assert len(way["actions"]) == shortest_length(env)


def test_a_way_from_a_later_moment_goes_on_from_there(run: Path) -> None:
    trajectory = trajectories(run)["open", 1]
    for step in (1, 3, len(trajectory.steps) - 1):
        way = way_from(trajectory, step)
        assert way is not None
        assert played(way, trajectory, step) > 0
        assert len(way["actions"]) <= len(trajectory.steps) - step
    assert way_from(trajectory, len(trajectory.steps)) is None  # it is over
    boxed = trajectories(run)["pickup", BOX]
    toggle = [step.action for step in boxed.steps].index("toggle")
    assert way_from(boxed, toggle) is not None
    assert way_from(boxed, toggle + 1) is None  # what was to be picked up is gone
    in_rooms = trajectories(run)[ROOMS, 7]
    way = way_from(in_rooms, 5)
    assert way is not None
    assert played(way, in_rooms, 5) > 0
    with pytest.raises(InputError, match="has no step 99; choose one from 0 to 2"):
        way_from(trajectories(run)["goto", 5], 99)
