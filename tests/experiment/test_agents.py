"""Agents of Python code, through the real gateway: their calls, their journal, and what a kill leaves."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from babyai_kit import ACTIONS, Run, finetune, load_episodes, make_env, run_experiment
from babyai_kit.agents import Message, Move, agent
from babyai_kit.agents.vision import Vision
from babyai_kit.environment import expert_actions
from babyai_kit.errors import AgentError, InputError
from babyai_kit.report import write_report
from tests.support.model_server import completion, model_server, refusal
from tests.support.processes import LONGEST_S, complete_lines, player_process, same_figures, start
from tests.support.project import make_project

pytestmark = pytest.mark.e2e

PLANNER = '''
from babyai_kit.agents import Message, agent


@agent("planner")
class Planner:
    """Plans at random steps, so that the number of its calls differs, and acts by what it was answered."""

    def __init__(self, episode):
        self.ask, self.random, self.mission = episode.ask, episode.random, episode.mission
        self.notes = []

    async def act(self, observation):
        for _ in range(self.random.randrange(3)):
            plan = await self.ask([Message("user", f"{self.mission}: {observation.text} {self.notes[-3:]}")])
            self.notes.append(f"{observation.step} {plan.text}")
        if observation.step % 5 == 4:
            return "turn left"  # without asking
        seen = f"{observation.text} {self.notes[-1:]}"
        reply = await self.ask([Message("system", "Act."), Message("user", seen)])
        return ("turn right", "go forward", "pick up")[(len(reply.text) + len(self.notes)) % 3]
'''


class Twice:
    """Thinks in one call and acts in another."""

    def __init__(self, episode: Any) -> None:
        self.ask = episode.ask

    async def act(self, observation: Any) -> Move:
        thought = await self.ask(
            [Message("system", "Think."), Message("user", observation.text)], temperature=0.3
        )
        answer = await self.ask([Message("user", f"{thought.text} Now act.")])
        return Move(answer.text, thinking=thought.text)


async def test_several_calls_make_one_step_and_each_is_recorded_and_stored(opened_at, tmp_path: Path) -> None:
    def answer(body: Any) -> Any:
        thinks = body["messages"][0]["role"] == "system"
        return completion(
            "a thought" if thinks else "turn left", usage={"prompt_tokens": 7, "completion_tokens": 2}
        )

    async with model_server(answer) as server, opened_at(server.base_url) as session:
        episodes = await run_experiment(
            session, "twice", agents=[Twice], tasks=["goto"], seeds=[200], results=tmp_path, progress=False
        )
        run = Run.open("twice", results=tmp_path)
        steps, calls = run.steps(), run.calls()
        from_store = load_episodes(
            "twice", results=tmp_path, source="clickhouse", client=session.clickhouse()
        )
        stored = session.clickhouse().query(
            "SELECT toString(id), variant_name, tags['step'], tags['call'] FROM ChatInference "
            "WHERE tags['run'] = 'twice'"
        )
    (episode,) = episodes.to_dict("records")
    assert (episode["variant"], episode["status"], episode["invalid_actions"]) == ("Twice", "ok", 0)
    assert episode["calls"] == 2 * episode["episode_length"] == len(calls)
    assert episode["input_tokens"] == 7 * episode["calls"]
    assert (steps["calls"] == 2).all()
    assert (steps["thinking"] == "a thought").all()
    assert (steps["input_tokens"] == 14).all()
    assert set(calls["inference_id"]) == {row[0] for row in stored.result_rows}
    assert {row[1] for row in stored.result_rows} == {"Twice"}
    assert {tuple(row[2:]) for row in stored.result_rows} == {
        (str(step), call) for step in range(len(steps)) for call in ("0", "1")
    }
    assert run.reconciliation()["clean"]
    assert from_store.drop(columns="wall_s").equals(episodes.drop(columns="wall_s"))
    spoken = [[m["role"] for m in body["messages"]] for body in server.asked[1:3]]
    assert spoken == [["system", "user"], ["user"]]
    assert server.asked[1]["temperature"] == pytest.approx(0.3)
    assert "temperature" not in server.asked[2]
    assert "response_format" not in server.asked[1]
    assert server.asked[1]["seed"] != server.asked[2]["seed"]


@pytest.mark.parametrize("source", ["clickhouse", "journal"])
async def test_its_calls_can_be_learned_from(opened_at, tmp_path: Path, source: str) -> None:
    """Each call of a success, with the messages as the model got them."""
    expert: dict[int, list[str]] = {}
    for seed in range(4):
        env = make_env("goto")
        env.reset(seed=seed)
        # Each action is the bot's for the state that the ones before led to.
        expert[seed] = [ACTIONS[action] for action in expert_actions(env) if env.step(action)]

    class Pupil:
        def __init__(self, episode: Any) -> None:
            self.ask, self.actions = episode.ask, expert[episode.seed]

        async def act(self, observation: Any) -> str:
            await self.ask([Message("system", "Think."), Message("user", observation.text)])
            await self.ask([Message("user", f"Now: {observation.text}")])
            return self.actions[observation.step]

    place = f"pupil-{source}"
    async with (
        model_server(lambda body: completion("a word")) as server,
        opened_at(server.base_url) as session,
    ):
        made = agent(place)(Pupil)
        rows = await run_experiment(
            session, place, agents=[made], tasks=["goto"], seeds=range(4), results=tmp_path, progress=False
        )
        assert rows["success"].all()
        curation = await finetune.curate(session, place, made, source=source, results=tmp_path)
    assert 0 < len(curation.examples) <= rows["calls"].sum()
    prompts = {example.prompt[0] for example in curation.examples}
    assert ("system", "Think.") in prompts
    assert all(example.answer == "a word" for example in curation.examples)
    sent = [tuple((m["role"], m["content"]) for m in body["messages"]) for body in server.asked]
    flat = [tuple((role, c if isinstance(c, str) else c[0]["text"]) for role, c in one) for one in sent]
    assert {example.prompt for example in curation.examples} <= set(flat)


class Looking:
    """Shows its view at every step, and an earlier one beside it."""

    def __init__(self, episode: Any) -> None:
        self.agent = Vision(episode, max_image_history=1)

    async def act(self, observation: Any) -> Any:
        return await self.agent.act(observation)


async def test_a_request_carries_the_picture_of_its_step(opened_at, tmp_path: Path) -> None:
    made = agent("looking", needs=("images",))(Looking)
    async with (
        model_server(lambda body: completion("turn left")) as server,
        opened_at(server.base_url) as session,
    ):
        await run_experiment(
            session, "looking", agents=[made], tasks=["goto"], seeds=[200], results=tmp_path, progress=False
        )
    env = make_env("goto")
    env.reset(seed=200)
    views = []
    for body in server.asked[1:]:
        pictures = [
            np.asarray(Image.open(io.BytesIO(base64.b64decode(part["image_url"]["url"].partition(",")[2]))))
            for message in body["messages"]
            if isinstance(message["content"], list)
            for part in message["content"]
            if part["type"] == "image_url"
        ]
        views.append(env.unwrapped.agent_view(tile_size=16))
        assert len(pictures) == min(2, len(views))
        assert np.array_equal(pictures[-1], views[-1])
        assert np.array_equal(pictures[0], views[-len(pictures)])
        env.step(ACTIONS.index("turn left"))
    assert len(views) == 64


async def test_a_model_that_takes_no_pictures_is_told_before_the_run(opened_at, tmp_path: Path) -> None:
    def blind(body: Any) -> Any:
        seen = any(isinstance(m["content"], list) and len(m["content"]) > 1 for m in body["messages"])
        return refusal(400, "image input is not supported") if seen else completion()

    async with model_server(blind) as server, opened_at(server.base_url) as session:
        with pytest.raises(InputError, match="the agent vision sends pictures, which a-model does not take"):
            await run_experiment(session, "blind", ["baseline"], agents=["vision"], results=tmp_path)
    assert Run.at(tmp_path / "blind") is None


async def test_calls_at_once_keep_their_order_and_end_with_the_step(opened_at, tmp_path: Path) -> None:
    class Many:
        def __init__(self, episode: Any) -> None:
            self.ask = episode.ask

        async def act(self, observation: Any) -> Move:
            words = [f"{observation.step} {number}" for number in range(4)]
            replies = await asyncio.gather(*(self.ask([Message("user", text)]) for text in words))
            assert [reply.text for reply in replies] == words
            asyncio.ensure_future(self.ask([Message("user", "left behind")]))  # noqa: RUF006
            await asyncio.sleep(0)
            return Move("turn left")

    async def answer(body: Any) -> Any:
        text = body["messages"][-1]["content"]
        text = text if isinstance(text, str) else text[0]["text"]
        if text == "left behind":
            await asyncio.sleep(60)
        await asyncio.sleep(random.random() / 50)
        return completion(text)

    async with model_server(answer) as server, opened_at(server.base_url) as session:
        rows = await run_experiment(
            session, "many", agents=[Many], tasks=["goto"], seeds=[200], results=tmp_path, progress=False
        )
    calls = Run.open("many", results=tmp_path).calls()
    assert list(rows["calls"]) == [4 * 64]
    assert list(calls["answer"]) == [f"{step} {number}" for step in range(64) for number in range(4)]
    assert (Run.open("many", results=tmp_path).steps()["answer"].str.endswith(" 3")).all()


@pytest.mark.parametrize("asks", [False, True])
async def test_what_is_no_action_word_for_word_is_invalid_and_goes_forward(
    asks: bool, opened_at, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Sloppy:
        def __init__(self, episode: Any) -> None:
            self.ask = episode.ask

        async def act(self, observation: Any) -> Any:
            if asks:
                await self.ask([Message("user", observation.text)])
            return ["Turn left", "turn left", 5, None, " toggle"][observation.step % 5]

    async with model_server(lambda body: completion()) as server, opened_at(server.base_url) as session:
        await run_experiment(
            session, "sloppy", agents=[Sloppy], tasks=["goto"], seeds=[200], results=tmp_path, progress=False
        )
    steps = Run.open("sloppy", results=tmp_path).steps()
    assert list(steps["valid"][:5]) == [False, True, False, False, False]
    assert list(steps["action"][:5]) == ["go forward", "turn left", "go forward", "go forward", "go forward"]
    assert (steps["calls"] == asks).all()
    assert (steps["inference_id"] != "").all() == asks
    # No form of request would help: the agent itself reads what it is answered. Without a call, no model is
    # to blame at all.
    told = capsys.readouterr().out
    assert told.count("; read the answers; the agent finds no action in them") == 2 * asks
    page = write_report("sloppy", results=tmp_path, figures=()).page.read_text()
    assert ("the agent finds no action in them" in page) == asks


async def test_an_agent_that_raises_ends_its_episode_as_an_error_and_then_the_run(
    opened_at, tmp_path: Path
) -> None:
    class Broken:
        def __init__(self, episode: Any) -> None:
            self.ask = episode.ask

        async def act(self, observation: Any) -> str:
            await self.ask([Message("user", "x")])
            return str(1 / 0)

    async with model_server(lambda body: completion()) as server, opened_at(server.base_url) as session:
        with pytest.raises(
            AgentError, match=r"the agent Broken raised ZeroDivisionError, line \d+ of .*test_agents"
        ):
            await run_experiment(
                session,
                "broken",
                agents=[Broken],
                tasks=["goto"],
                seeds=range(9),
                max_concurrency=1,
                results=tmp_path,
                progress=False,
            )
    rows = load_episodes("broken", results=tmp_path)
    assert set(rows["error_kind"]) == {"agent"}
    assert len(rows) < 9


class Stubborn:
    """Goes on whatever its calls come to."""

    def __init__(self, episode: Any) -> None:
        self.ask = episode.ask

    async def act(self, observation: Any) -> str:
        with contextlib.suppress(Exception):
            await self.ask([Message("user", observation.text)])
        return "turn left"


async def test_a_failure_of_the_model_is_an_error_even_if_the_agent_catches_it(
    opened_at, tmp_path: Path
) -> None:
    answers = iter([completion()])
    refuse = lambda body: next(answers, None) or refusal(400, "this prompt is not wanted")  # noqa: E731
    async with model_server(refuse) as server, opened_at(server.base_url) as session:
        rows = await run_experiment(
            session,
            "stubborn",
            agents=[Stubborn],
            tasks=["goto"],
            seeds=[1],
            results=tmp_path,
            progress=False,
        )
    assert list(rows["error_kind"]) == ["bad request"]


async def test_a_spent_budget_leaves_the_episode_unfinished_whatever_the_agent_catches(
    opened_at, tmp_path: Path
) -> None:
    async with model_server(lambda body: completion()) as server, opened_at(server.base_url) as session:
        rows = await run_experiment(
            session,
            "spent",
            agents=[Stubborn],
            tasks=["goto"],
            seeds=[1],
            max_tokens_total=60,  # 13 a call
            results=tmp_path,
            progress=False,
        )
    assert rows.empty
    assert len(Run.open("spent", results=tmp_path).steps()) == 5
    assert len(server.asked) == 6


@pytest.mark.long
def test_a_killed_agent_with_a_random_number_of_calls_ends_as_if_nothing_had_happened(
    tmp_path: Path, data_alone: Path
) -> None:
    project = make_project(tmp_path / "project", data_alone)
    (project / "mine.py").write_text(PLANNER)
    plan = [
        "--agents",
        "mine.py",
        "--variants",
        "baseline",
        "--tasks",
        "goto",
        "--seeds",
        "0:3",
        "--concurrency",
        "4",
    ]
    with player_process("--latency-s", "0.02") as player:
        settings = {"OPENAI_BASE_URL": player.base_url, "AGENT_MODEL": "offline-player"}
        assert start(project, "run", "whole", *plan, **settings).wait(LONGEST_S) == 0
        whole = load_episodes("whole", results=project / "results")
        calls = project / "results" / "r" / "calls.jsonl"
        for count in (3, 40, 120):
            process = start(project, "run", "r", *plan, **settings)
            while len(complete_lines(calls)) < count:
                time.sleep(0.01)
            process.kill()
            process.wait()
        log = project / "last.log"
        assert start(project, "run", "r", *plan, log=log, **settings).wait(LONGEST_S) == 0
    assert "Begun anew" not in log.read_text()
    assert sorted(set(whole["variant"])) == ["baseline", "planner"]
    assert same_figures(load_episodes("r", results=project / "results"), whole)
    answered = [json.loads(line) for line in complete_lines(calls)]
    places = {(c["episode_id"], c["step"], c["call"]) for c in answered}
    assert len(answered) == len(places) == int(whole.loc[whole["variant"] == "planner", "calls"].sum())


def test_an_agent_that_asks_otherwise_after_a_change_outside_its_file_begins_anew(
    tmp_path: Path, data_alone: Path
) -> None:
    project = make_project(tmp_path / "project", data_alone)
    (project / "mine.py").write_text(
        "from pathlib import Path\nfrom babyai_kit.agents import Message\n\n\n"
        "class Mine:\n    def __init__(self, episode):\n        self.ask = episode.ask\n\n"
        "    async def act(self, observation):\n"
        "        words = Path('words.txt').read_text()\n"
        "        await self.ask([Message('user', words + observation.text)])\n        return 'turn left'\n"
    )
    (project / "words.txt").write_text("Go: ")
    plan = ["--agents", "mine.py:Mine", "--tasks", "goto", "--seeds", "5:6"]
    log = project / "second.log"
    with player_process("--latency-s", "0.05") as player:
        settings = {"OPENAI_BASE_URL": player.base_url, "AGENT_MODEL": "offline-player"}
        process = start(project, "run", "r", *plan, **settings)
        while len(complete_lines(project / "results" / "r" / "steps.jsonl")) < 5:
            time.sleep(0.01)
        process.kill()
        process.wait()
        (project / "words.txt").write_text("Walk: ")
        assert start(project, "run", "r", *plan, log=log, **settings).wait(LONGEST_S) == 0
    assert "Begun anew, since an agent does not repeat what it did: mine.py:Mine: call 0" in log.read_text()
    (row,) = load_episodes("r", results=project / "results").to_dict("records")
    assert row["calls"] == row["episode_length"]
    ids = [
        json.loads(line)["episode_id"] for line in complete_lines(project / "results" / "r" / "steps.jsonl")
    ]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("nobody", "unknown agent 'nobody'"),
        ("no/such.py", "there is no file no/such.py"),
        ("no_such_module:X", "cannot be imported"),
        ("tests.support.project:Nothing", "unknown agent of tests.support.project 'Nothing'"),
        ("tests.support.project", "defines no agent, a class with act"),
    ],
)
async def test_what_is_no_agent_is_refused_before_any_call(
    opened_at, tmp_path: Path, place: str, told: str
) -> None:
    async with model_server(lambda body: completion()) as server, opened_at(server.base_url) as session:
        with pytest.raises(InputError, match=told):
            await run_experiment(session, "none", agents=[place], results=tmp_path)
        taken = agent("baseline")(Twice)
        with pytest.raises(InputError, match="'baseline' is a variant of config/ already"):
            await run_experiment(session, "none", agents=[taken], results=tmp_path)
        del Twice.agent_name
    assert not server.asked
