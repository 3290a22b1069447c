"""Every agent of plain text that ships, through the real gateway: what the model sees, what comes of it."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from babyai_kit import Run, connect, run_experiment
from babyai_kit.replay.prompts import EpisodePrompts, PromptData
from tests.support.goldens import GOLDENS
from tests.support.model_server import Body, completion, model_server
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e

SEEN = GOLDENS / "agents"
"""What the model sees of an agent's whole episode, message by message. REWRITE_GOLDENS=1 writes them anew."""
SEED = 208
"""In goto: turn left, go forward, go forward, turn left."""
MARKED = ["<action>turn left</action>", "I rest.", "So: <action> Go forward. </action>", "<action>turn left"]
ANSWERS = {
    "naive": ["turn left", "I rest.", "Go forward.", '"turn left"'],
    "robust_naive": MARKED,
    "chain_of_thought": ["The key is left.\n" + MARKED[0], *MARKED[1:]],
    "chain_of_thought_remembering": ["The key is left.\n" + MARKED[0], *MARKED[1:]],
    "best_of_n:n=2": [
        *("I look left. " + MARKED[0], "<action>drop</action>", "1"),
        *(MARKED[1], MARKED[1]),
        *("<action>toggle</action>", MARKED[2], "Number 2."),
        *(MARKED[3], MARKED[3]),
    ],
    "reflect": ["The key is left.\n" + MARKED[0], *MARKED[1:]],
    "few_shot": ["turn left", "I rest.", "Go forward.", '"turn left"'],
    "plan": ["1. Turn.\n2. Walk.", *MARKED[:2], "1. Walk.\n2. Turn left.", *MARKED[2:]],
}
"""By agent, the model's answers in an episode whose second action is not valid."""

Played = dict[str, tuple[list[Body], pd.DataFrame, PromptData]]
"""By agent, the requests of its episode, its steps, and its prompts as the viewer shows them."""


@pytest.fixture(scope="module")
def played(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return asyncio.run(play(data, tmp_path_factory.mktemp("results")))


async def play(data: Path, results: Path) -> Played:
    """A run of each agent, whose model gives the answers above and no others."""
    rest: list[str] = []
    seen: Played = {}
    async with model_server(lambda body: completion(rest.pop(0))) as server:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENAI_BASE_URL", server.base_url)
            patch.setenv("AGENT_MODEL", "a-model")
            async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
                for name, answers in ANSWERS.items():
                    rest, before = ["the preflight's", *answers], len(server.asked)
                    await run_experiment(
                        session,
                        name.partition(":")[0],
                        agents=[name],
                        tasks=["goto"],
                        seeds=[SEED],
                        history_length=2,
                        max_concurrency=1,  # drafts that come at once get their answers in order
                        results=results,
                        progress=False,
                    )
                    assert not rest
                    run = Run.open(name.partition(":")[0], results=results)
                    (trajectory,) = run.trajectories()
                    calls = run.call_records()[trajectory.episode_id]
                    prompts = EpisodePrompts(run.manifest, config=CONFIG).of(trajectory, calls)
                    seen[name] = server.asked[before + 1 :], run.steps(), prompts
    return seen


def shown(bodies: Iterable[Body]) -> str:
    return "".join(
        f"== call {number}\n"
        + "".join(f"<{m['role']}>\n{_text(m['content'])}\n</{m['role']}>\n" for m in body["messages"])
        for number, body in enumerate(bodies)
    )


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.mark.parametrize("name", ANSWERS)
def test_what_the_model_sees(name: str, played: Played) -> None:
    bodies, steps, _ = played[name]
    seen = shown(bodies)
    golden = SEEN / f"{name.partition(chr(58))[0]}.txt"
    if "REWRITE_GOLDENS" in os.environ:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(seen)
    assert seen == golden.read_text()
    assert list(steps["action"]) == ["turn left", "go forward", "go forward", "turn left"]
    assert list(steps["valid"]) == [True, False, True, True]
    assert steps["reward"].sum() > 0


@pytest.mark.parametrize("name", ANSWERS)
def test_the_viewer_shows_what_the_model_saw(name: str, played: Played) -> None:
    """Calls that ask the same right after each other, as drafts do, are shown once."""
    bodies, _, prompts = played[name]
    asked = [[(m["role"], _text(m["content"])) for m in body["messages"]] for body in bodies]
    shown: list[list[tuple[str, str]]] = []
    for step in prompts["steps"]:
        calls: list[list[tuple[str, str]]] = [[]]
        for message in step:
            if message["role"] == "answer":
                calls.append([])
            elif message["role"] != "note":
                calls[-1].append((message["role"], message["content"]))
        shown += [call for call in calls if call]
    assert prompts["note"] == ""
    assert shown == [call for number, call in enumerate(asked) if call not in asked[:number]]


def test_only_one_of_the_two_agents_that_think_is_shown_its_thoughts(played: Played) -> None:
    without, remembering = (
        (SEEN / f"{name.partition(chr(58))[0]}.txt").read_text()
        for name in ("chain_of_thought", "chain_of_thought_remembering")
    )
    assert remembering.count("Thought: The key is left.\n") == 2
    assert re.sub("(?m)^Thought: .*\n", "", remembering) == without
    for name in ("chain_of_thought", "chain_of_thought_remembering"):
        thoughts = played[name][1]["thinking"].fillna("")
        assert list(thoughts) == ["The key is left.", "I rest.", "So:", ""]
