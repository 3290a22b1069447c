"""Agents written for BALROG, through the real gateway: from a file, many at once, interrupted, seeing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from babyai_kit import Run, connect, load_episodes, make_env, run_experiment
from babyai_kit.agents.balrog import balrog_agent
from babyai_kit.environment import ACTIONS
from babyai_kit.errors import ModelError
from tests.support.model_server import completion, model_server, refusal
from tests.support.processes import LONGEST_S, complete_lines, same_figures, start
from tests.support.project import CONFIG, make_project

pytestmark = pytest.mark.e2e

PLANNER = Path(__file__).resolve().parents[1] / "support" / "balrog_planner.py"


def plans(body: Any) -> Any:
    """An answer that depends on all that was said, so that a resumed agent that forgot something differs."""
    said = json.dumps(body["messages"])
    number = int(hashlib.sha256(said.encode()).hexdigest(), 16)
    if "Is this plan good?" in said:
        text = f"better plan {number % 97}"
    else:
        plan = f"plan {number % 89}" if number % 3 else "KEEP"
        # Also answers that are no actions.
        text = f" PLAN: {plan}\nACTION: {(*ACTIONS[:4], 'Turn left', 'wait')[number % 6]}\n"
    usage = {"prompt_tokens": len(said) // 4, "completion_tokens": 5}
    return completion(text, usage=usage)


async def until(happened: Any) -> None:
    while not happened():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@pytest.fixture
def opened(data: Path, monkeypatch: pytest.MonkeyPatch):
    def opened(base_url: str):
        monkeypatch.setenv("OPENAI_BASE_URL", base_url)
        monkeypatch.setenv("AGENT_MODEL", "a-model")
        return connect(env_file=None, config=CONFIG, data=data, quiet=True)

    return opened


@pytest.mark.long
async def test_a_killed_planner_ends_as_if_nothing_had_happened(tmp_path: Path, data_alone: Path) -> None:
    project = make_project(tmp_path / "project", data_alone)
    (project / "theirs").mkdir()
    shutil.copy(PLANNER, project / "theirs" / "custom.py")
    plan = ["--agents", "balrog:theirs/custom.py", "--tasks", "goto", "--seeds", "0:2"]
    log, calls = project / "last.log", project / "results" / "r" / "calls.jsonl"

    held, second_thoughts = asyncio.Event(), 0

    async def answer(body: Any) -> Any:
        nonlocal second_thoughts
        if "Is this plan good?" in json.dumps(body["messages"]) and calls.exists() and not held.is_set():
            second_thoughts += 1
            if second_thoughts == 12:
                held.set()
                await asyncio.Event().wait()
        return plans(body)

    async with model_server(answer) as server:
        settings = {"OPENAI_BASE_URL": server.base_url, "AGENT_MODEL": "a-model"}
        whole = start(project, "run", "whole", *plan, log=project / "whole.log", **settings)
        assert await asyncio.to_thread(whole.wait, LONGEST_S) == 0, (project / "whole.log").read_text()
        killed = start(project, "run", "r", *plan, **settings)
        # In the middle of a step: its first call is recorded, the second is not.
        await held.wait()
        killed.kill()
        killed.wait()
        begun = complete_lines(calls)
        assert len(begun) > 12
        last = start(project, "run", "r", *plan, log=log, **settings)
        assert await asyncio.to_thread(last.wait, LONGEST_S) == 0
    assert "Begun anew" not in log.read_text()
    assert complete_lines(calls)[: len(begun)] == begun
    undisturbed = load_episodes("whole", results=project / "results")
    assert set(undisturbed["variant"]) == {"balrog:theirs/custom.py"}
    assert set(undisturbed["status"]) == {"ok"}
    assert (undisturbed["calls"] > undisturbed["episode_length"]).all()
    assert same_figures(load_episodes("r", results=project / "results"), undisturbed)
    run = Run.open("whole", results=project / "results")
    steps, answered = run.steps(), run.calls()
    assert steps["calls"].sum() == len(answered)
    assert steps["input_tokens"].sum() == answered["input_tokens"].sum() > 0
    assert 0 < steps["valid"].mean() < 1
    assert steps["thinking"].str.contains("better plan").any()
    assert run.reconciliation()["clean"]


async def test_many_wait_for_the_model_at_once(opened, tmp_path: Path) -> None:
    waiting: list[Any] = []
    all_there = asyncio.Event()

    async def together(body: Any) -> Any:
        if "Plan so far: None" in json.dumps(body["messages"]):
            waiting.append(body)
            if len(waiting) >= 40:
                all_there.set()
            await all_there.wait()
            return completion("PLAN: go\nACTION: turn left")
        return refusal(400, "this prompt is not wanted")

    place = f"balrog:{shutil.copy(PLANNER, tmp_path / 'custom.py')}:Planner"
    first = iter([completion()])
    answer = lambda body: next(first, None) or together(body)  # noqa: E731
    async with model_server(answer) as server, opened(server.base_url) as session:
        with pytest.raises(ModelError, match="this prompt is not wanted"):
            await run_experiment(
                session,
                "many",
                agents=[place],
                tasks=["goto"],
                seeds=range(40),
                max_concurrency=40,
                results=tmp_path,
                progress=False,
            )
    assert len(waiting) >= 40
    # The model's refusal goes through the agent, and is no behaviour of it.
    assert set(load_episodes("many", results=tmp_path)["error_kind"]) == {"bad request"}


async def test_an_interrupted_run_ends_though_agents_compute(tmp_path: Path, data_alone: Path) -> None:
    project = make_project(tmp_path / "project", data_alone)
    (project / "custom.py").write_text(
        "import time\nfrom pathlib import Path\nfrom balrog.agents.base import BaseAgent\n\n\n"
        "class Sleeper(BaseAgent):\n    def act(self, obs, prev_action=None):\n"
        "        self.prompt_builder.update_observation(obs)\n"
        "        if prev_action:\n            Path('asleep').touch()\n            time.sleep(3600)\n"
        "        return self.client.generate(self.prompt_builder.get_prompt())\n"
    )
    log = project / "log"
    async with model_server(lambda body: completion("turn left")) as server:
        settings = {"OPENAI_BASE_URL": server.base_url, "AGENT_MODEL": "a-model"}
        plan = ["--agents", "balrog:custom.py", "--tasks", "goto", "--seeds", "0:9"]
        process = start(project, "run", "r", *plan, log=log, **settings)
        await until((project / "asleep").exists)
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, LONGEST_S) == 130
    assert "Traceback" not in log.read_text()
    assert complete_lines(project / "results" / "r" / "steps.jsonl")


async def test_the_model_sees_the_pictures_that_the_agent_saw(opened, tmp_path: Path) -> None:
    planner = balrog_agent(str(shutil.copy(PLANNER, tmp_path / "custom.py")), name="seeing")
    seeing = partial(planner, max_image_history=2)
    async with model_server(plans) as server, opened(server.base_url) as session:
        await run_experiment(
            session, "seen", agents=[seeing], tasks=["open"], seeds=[4], results=tmp_path, progress=False
        )
    steps = Run.open("seen", results=tmp_path).steps()
    views, env = [], make_env("open")
    env.reset(seed=4)
    for action in steps["action"]:
        views.append(env.agent_view())
        env.step(ACTIONS.index(action))
    asked = [body for body in server.asked if "Plan so far" in json.dumps(body)]
    asked = [body for body in asked if "Is this plan good?" not in json.dumps(body)]
    assert len(asked) == len(steps)
    for step, body in enumerate(asked):
        shown = [pixels(part) for part in parts(body) if part["type"] == "image_url"]
        assert len(shown) == min(step + 1, 2)
        assert all(
            np.array_equal(a, b) for a, b in zip(shown, views[max(0, step - 1) : step + 1], strict=True)
        )


def parts(body: Any) -> list[Any]:
    contents = [message["content"] for message in body["messages"]]
    return [part for content in contents if isinstance(content, list) for part in content]


def pixels(part: Any) -> np.ndarray:
    data = part["image_url"]["url"].partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
