"""A loop written against BALROG's environment runs on the kit's, and sees what BALROG recorded."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
from PIL import Image

from babyai_kit.environment import ACTIONS, MAX_STEPS, TASKS
from babyai_kit.environment.balrog_compat import BalrogObservation, make_env
from babyai_kit.environment.picture import present_view
from babyai_kit.environment.text_env import TextEnv
from babyai_kit.errors import InputError, InvalidActionError, StepOrderError, UnknownTaskError
from tests.support.goldens import picture_hash, records


def evaluate(env: Any, seed: int, answers: list[str], *, feedback: bool = True) -> dict[str, Any]:
    """An episode as an evaluator of BALROG's form plays it, in this project's own words."""
    obs, _ = env.reset(seed=seed)
    log: dict[str, Any] = {"texts": [], "steps": [], "return": 0.0}
    log["instruction"] = env.get_instruction_prompt(instructions=obs["mission"])
    log["first"] = obs
    for answer in answers[: env.max_steps]:
        log["texts"].append(obs["text"]["short_term_context"] + obs["text"]["long_term_context"])
        action = env.check_action_validity(answer)
        obs, reward, terminated, truncated, _ = env.step(action)
        log["steps"].append([action, obs["text"]["long_term_context"], reward, terminated, truncated])
        log["return"] += reward
        if feedback and action != answer:
            obs["text"]["long_term_context"] = f"Not an action.\n{obs['text']['long_term_context']}"
        if terminated or truncated:
            break
    log["last"] = obs
    return {**log, **env.get_stats(), "failed": env.failed_candidates}


@pytest.mark.parametrize("name", ["public_nd0", "public_nd8", "public_scripted"])
def test_a_loop_of_balrog_s_form_sees_what_balrog_recorded(name: str) -> None:
    played = set()
    for golden in records(name):
        env = make_env(golden["task"], num_dists=golden["num_dists"])
        log = evaluate(env, golden["seed"], [step[0] for step in golden["steps"]])
        assert log["steps"] == golden["steps"]
        assert (log["mission"], log["progression"]) == (golden["mission"], golden["progression"])
        assert (env.max_steps, log["failed"]) == (golden["max_steps"], [])
        assert log["texts"][0] == golden["text"]
        assert log["mission"] in log["instruction"]
        # Read only now: it shows its own moment.
        assert picture_hash(np.asarray(log["first"]["image"])) == golden["image_sha256"]
        assert picture_hash(np.asarray(log["last"]["image"])) == golden["final_image_sha256"]
        played.add(golden["task"])
    assert played == set(TASKS)


def test_what_is_no_action_word_for_word_goes_forward_and_is_kept() -> None:
    answers = ["Turn left", "turn left", " go forward", "", "done", "pick up", None, ["toggle"], 2]
    env = make_env("putnext")
    log = evaluate(env, 5, answers)  # type: ignore[arg-type]
    forward = "go forward"
    assert [step[0] for step in log["steps"]] == [
        forward, "turn left", forward, forward, forward, "pick up", forward, forward, forward
    ]  # fmt: skip
    assert log["failed"] == ["Turn left", " go forward", "", "done", None, ["toggle"], 2]
    assert [text.startswith("Not an action.\n") for text in log["texts"]] == [
        False, True, False, True, True, True, False, True, True
    ]  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_constants(task: str) -> None:
    env = make_env(f"BabyAI-MixedTrainLocal-v0/{task}")
    assert env.language_action_space == list(ACTIONS)
    assert env.default_action == "go forward"
    assert env.max_steps == MAX_STEPS[task]
    assert [env.get_text_action(action) for action in env.actions] == list(ACTIONS)
    assert env.get_stats() == {"mission": None, "progression": 0.0}
    assert env.reset(seed=3)[0]["mission"] == make_env(task).reset(seed=3)[0]["mission"]
    assert all(f"- {action}: " in env.get_instruction_prompt() for action in ACTIONS)
    assert env.get_stats()["mission"] in env.get_instruction_prompt()
    assert "walk the dog" in env.get_instruction_prompt(instructions="walk the dog")


def test_resets_without_a_seed_go_on() -> None:
    for golden in records("public_resets"):
        env = make_env(golden["task"], num_dists=golden["num_dists"])
        for index, recorded in enumerate(golden["resets"]):
            observation, _ = env.reset(seed=golden["seed"] if index == 0 else None)
            assert observation["text"]["long_term_context"] == recorded["text"]
            assert picture_hash(np.asarray(observation["image"])) == recorded["image_sha256"]


def test_pictures_are_drawn_only_when_read_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    draw = TextEnv.agent_view
    monkeypatch.setattr(TextEnv, "agent_view", lambda self, size: drawn.append(size) or draw(self, size))
    env = make_env("open")
    observation, _ = env.reset(seed=1)
    for action in ("turn left", "go forward", "toggle"):
        env.step(action)
    assert ("image" in observation, list(observation)) == (True, ["mission", "text", "image"])
    assert not drawn
    image = observation["image"]
    assert isinstance(image, Image.Image)
    assert (image.mode, image.size) == ("RGB", (112, 112))
    assert observation["image"] is observation.get("image") is dict(observation)["image"] is image
    assert drawn == [16]


@pytest.mark.parametrize(
    "read",
    [
        lambda o: o["image"],
        lambda o: o.get("image"),
        lambda o: dict(o)["image"],
        lambda o: {**o}["image"],
        lambda o: (o | {})["image"],
        lambda o: o.copy()["image"],
        lambda o: copy.copy(o)["image"],
        lambda o: copy.deepcopy(o)["image"],
        lambda o: pickle.loads(pickle.dumps(o))["image"],
        lambda o: list(o.values())[-1],
        lambda o: dict(o.items())["image"],
        lambda o: o.pop("image"),
        lambda o: o.setdefault("image", None),
    ],
)
def test_however_the_picture_is_read_it_is_one(read: Any) -> None:
    env = make_env("goto")
    observation, _ = env.reset(seed=2)
    env.step("turn left")
    shown = np.asarray(read(observation))
    env.reset(seed=2)
    assert np.array_equal(shown, env.unwrapped.agent_view())


def test_an_observation_of_its_own_can_be_written_to() -> None:
    env = make_env("goto")
    observation, _ = env.reset(seed=2)
    observation["text"]["long_term_context"] += "!"
    observation["image"] = None
    assert json.loads(json.dumps(observation)) == observation
    assert isinstance(observation, dict)
    assert isinstance(observation, BalrogObservation)


@pytest.mark.parametrize("task", ["open", "putnext", "BabyAI-BossLevel-v0", "BabyAI-PutNextS5N2Carrying-v0"])
def test_a_view_shows_its_moment_however_late_it_is_drawn(task: str) -> None:
    env = make_env(task).unwrapped
    views = []
    for seed in range(3):
        env.reset(seed=seed)
        random = np.random.default_rng(seed)
        while env.running and env.step_count < 60:
            views.append((present_view(env), env.agent_view()))
            # Doors, boxes and what is carried change most under these.
            env.step(int(random.choice(6, p=[0.1, 0.1, 0.3, 0.2, 0.1, 0.2])))
    assert all(np.array_equal(draw(), seen) for draw, seen in views)


@pytest.mark.parametrize("action", [0, None, "done", "Turn left", "a\nb", ["toggle"]])
def test_wrong_actions_cost_nothing(action: Any) -> None:
    env = make_env("goto")
    env.reset(seed=0)
    with pytest.raises(InvalidActionError, match=r"check_action_validity\(\)") as caught:
        env.step(action)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    assert env.unwrapped.step_count == 0


def test_wrong_use() -> None:
    for task in ("goTo", "BabyAI-MixedTrainLocal-v0/", "BabyAI-MixedTrainLocal-v0/goTo", None):
        with pytest.raises(UnknownTaskError, match="pick_up_seq_go_to"):
            make_env(task)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="0 to 16"):
        make_env("goto", num_dists=17)
    with pytest.raises(StepOrderError, match=r"reset\(seed=...\)"):
        make_env("goto").step("toggle")
