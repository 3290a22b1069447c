"""The prompts of recorded episodes: word for word what a model server was sent, through the real gateway."""

from __future__ import annotations

import asyncio
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import Run, connect, run_experiment
from babyai_kit.replay.prompts import PICTURE, EpisodePrompts, PromptData
from babyai_kit.runs.seed_blocks import TRAIN
from babyai_kit.runs.trajectories import Trajectory
from tests.replay.test_replay import HOSTILE
from tests.support.journals import Reply, expert, play, write_run
from tests.support.model_server import Body, completion, model_server
from tests.support.project import CONFIG

VARIANTS = ["history_and_reasoning", "dialogue"]
AGENTS = [
    "few_shot:examples=1",
    "best_of_n:n=2",
    "reflect",
    "vision:max_image_history=2",
    "explore:share=0.5:variant=dialogue",
]
STEPS = 64
OWN = """
from babyai_kit.agents import Message, agent

@agent("mine")
class Mine:
    def __init__(self, episode):
        open({mark!r}, "a").write("run ")
        self.episode = episode

    async def act(self, observation):
        return (await self.episode.ask([Message("user", observation.text)])).text
"""


@dataclass(frozen=True)
class Played:
    """A run and what the model server was sent for each agent, in order, the preflight's calls first."""

    results: Path
    sent: dict[str, list[list[dict[str, str]]]]

    def prompts(self, name: str, config: Path = CONFIG) -> tuple[Trajectory, PromptData]:
        run = Run.open(folder(name), results=self.results)
        (trajectory,) = run.trajectories()
        calls = run.call_records().get(trajectory.episode_id, [])
        return trajectory, EpisodePrompts(run.manifest, config=config).of(trajectory, calls)


def folder(name: str) -> str:
    return name.partition(":")[0]


def answer(body: Body) -> Body:
    """Now a thought and an action in the form that is asked for, now something else."""
    words = str(body["messages"])
    number = sum(map(ord, words)) % 4
    action = ("turn left", "go forward", "turn left", "rest")[number]
    form = "{}" if "one action that you take now, in the words above" in words else "So: <action>{}</action>"
    if "JSON" in words or "json" in str(body.get("response_format")):
        form = '{{"thinking": "I look.", "action": "{}"}}'
    return completion(form.format(action))


def heard(body: Body) -> list[dict[str, str]]:
    """The messages of a request, pictures as words."""

    def text(content: Any) -> str:
        if isinstance(content, str):
            return content
        return "\n".join(part.get("text", PICTURE) for part in content)

    return [{"role": m["role"], "content": text(m["content"])} for m in body["messages"]]


@pytest.fixture(scope="module")
def played(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Played:
    return asyncio.run(all_played(data, tmp_path_factory.mktemp("results")))


async def all_played(data: Path, results: Path) -> Played:
    sent = {}
    own = results / "mine.py"
    own.write_text(OWN.format(mark=str(results / "mark")))
    async with model_server(answer) as server:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENAI_BASE_URL", server.base_url)
            patch.setenv("AGENT_MODEL", "a-model")
            async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
                for name in [*VARIANTS, *AGENTS, str(own)]:
                    who = {"variants": [name]} if name in VARIANTS else {"agents": [name]}
                    name = "mine" if name == str(own) else name
                    before = len(server.asked)
                    await run_experiment(
                        session,
                        folder(name),
                        **who,
                        tasks=["pickup"],
                        seeds=[TRAIN.start + 1],  # where reflect reflects
                        history_length=3,
                        max_concurrency=1,  # calls that come at once are heard in order
                        stop_after_invalid=0,
                        results=results,
                        progress=False,
                    )
                    sent[name] = list(map(heard, server.asked[before:]))
    return Played(results, sent)


def calls_told(told: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    """The messages of a step call by call."""
    if not any(message["role"] == "note" for message in told):
        return [told] if told else []
    calls: list[list[dict[str, str]]] = []
    for message in told:
        if message["role"] == "note":
            same = message["content"].endswith("which asks the same")
            calls.append([*calls[-1]] if same else [])
        elif message["role"] != "answer":
            calls[-1].append(message)
    return calls


@pytest.mark.e2e
@pytest.mark.parametrize("name", [*VARIANTS, *AGENTS])
def test_a_prompt_is_what_the_model_server_was_sent(name: str, played: Played) -> None:
    trajectory, prompts = played.prompts(name)
    assert prompts["note"] == ""
    assert len(prompts["steps"]) == len(trajectory.steps) == STEPS
    told = [call for step in (*prompts["steps"], prompts["closing"]) for call in calls_told(step)]
    assert len(told) == sum(step.calls for step in trajectory.steps) + (name == "reflect")
    assert told == played.sent[name][-len(told) :]
    assert bool(prompts["closing"]) == (name == "reflect")
    json.dumps(prompts)


@pytest.mark.e2e
def test_of_several_calls_each_has_its_answer(played: Played) -> None:
    trajectory, prompts = played.prompts("best_of_n:n=2")
    run = Run.open("best_of_n", results=played.results)
    calls = [c for c in run.call_records()[trajectory.episode_id] if c.step == 0]
    told = prompts["steps"][0]
    notes = [message["content"] for message in told if message["role"] == "note"]
    assert notes[:2] == [f"Call 1 of {len(calls)}", f"Call 2 of {len(calls)}, which asks the same"]
    assert [m["content"] for m in told if m["role"] == "answer"] == [call.answer for call in calls]


@pytest.mark.e2e
def test_code_that_is_not_the_kits_is_not_run(played: Played) -> None:
    mark = played.results / "mark"
    before = mark.read_text()
    trajectory, prompts = played.prompts("mine")
    assert mark.read_text() == before
    assert prompts["steps"] == [None] * len(trajectory.steps)
    assert prompts["note"] == (
        "The prompts of mine cannot be shown: its code is not the kit's, and the viewer runs no other."
    )


@pytest.mark.e2e
def test_what_cannot_be_asked_again_is_not_shown(played: Played, tmp_path: Path) -> None:
    shutil.copytree(played.results / "few_shot", tmp_path / "few_shot")
    file = tmp_path / "few_shot" / "calls.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[5]["request"] = "0" * 12
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, prompts = Played(tmp_path, {}).prompts("few_shot")
    assert [step is None for step in prompts["steps"]] == [False] * 5 + [True] * (STEPS - 5)
    assert prompts["note"] == (
        "The agent does not repeat its calls from step 6 on, which are not shown: it asks something else "
        "than it did."
    )


def test_templates_that_have_changed_are_not_taken_for_the_old(tmp_path: Path) -> None:
    write_run(tmp_path, [play(expert, seed=1)])
    run = Run.open("r", results=tmp_path)
    (trajectory,) = run.trajectories()
    shutil.copytree(CONFIG, config := tmp_path / "config")
    assert EpisodePrompts(run.manifest, config=config).of(trajectory, [])["note"] == ""
    for template in (config / "functions").rglob("*.minijinja"):
        template.write_text(template.read_text() + "\nBe quick.")
    prompts = EpisodePrompts(run.manifest, config=config).of(trajectory, [])
    assert prompts["note"].startswith("The prompt of baseline has changed since: its digest was ")
    assert prompts["steps"] == [None] * len(trajectory.steps)
    prompts = EpisodePrompts(run.manifest, config=tmp_path / "none").of(trajectory, [])
    assert prompts["note"].startswith("The prompts of baseline cannot be shown: no TOML file under ")


def test_any_name_and_any_text_gives_a_note_or_prompts(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "naive:x.py").write_text(f"open({str(mark)!r}, 'w')\nclass A:\n    act = None\n")
    write_run(tmp_path, [play([Reply("turn left", thinking=HOSTILE), Reply(raw=HOSTILE)], seed=2)])
    manifest = Run.open("r", results=tmp_path).manifest
    (trajectory,) = Run.open("r", results=tmp_path).trajectories()
    names = [f"naive:{tmp_path}/naive:x.py", f"{tmp_path}/naive:x.py", f"{tmp_path}/naive:x.py:every=3"]
    names += ["few_shot:examples=x", "naive:x=1", "few_shot:run=none", "babyai_kit:x", "<script>", ""]
    names += ["balrog:naive", "in_context", HOSTILE]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        for name in names:
            object.__setattr__(trajectory.key, "variant", name)
            prompts = EpisodePrompts(manifest, config=CONFIG).of(trajectory, [])
            assert prompts["note"], name
            assert prompts["steps"] == [None] * len(trajectory.steps)
            json.dumps(prompts).encode()
            prompts["note"].encode()
    assert not mark.exists()
