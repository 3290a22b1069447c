"""in_context: which moments it is shown, and what embeds them."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import Run, connect, run_experiment
from babyai_kit.agents import Episode, find_agent
from babyai_kit.agents.demonstrations import expert_demonstrations
from babyai_kit.agents.in_context import InContext, situation
from babyai_kit.errors import InputError, ModelError
from babyai_kit.experiment.patience import Backoff
from babyai_kit.local import language_model
from babyai_kit.local.adapter import EmbeddingClient
from tests.support.goldens import GOLDENS
from tests.support.model_server import Body, completion, model_server, refusal
from tests.support.project import CONFIG

SEED = 208
"""In goto: turn left, go forward, go forward, turn left."""
ACTIONS = ["turn left", "go forward", "go forward", "turn left"]
WORDS = ["left", "right", "forward", "wall", "key", "ball", "box", "door", "red", "green", "blue", "grey"]


def vector(text: str) -> list[float]:
    """How often each of WORDS is in `text`."""
    return [1.0, *(float(text.count(word)) for word in WORDS)]


def embeddings(body: Body) -> Body:
    rows = [{"index": i, "embedding": vector(text)} for i, text in enumerate(body["input"])]
    return {"object": "list", "data": rows[::-1], "model": body["model"]}


def likeness(one: str, other: str) -> float:
    a, b = vector(one), vector(other)
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


class Play:
    """A model that plays SEED to its goal, and what it was asked."""

    def __init__(self) -> None:
        self.number = -1  # the first question is the preflight's

    def __call__(self, body: Body) -> Body:
        self.number += 1
        return completion(ACTIONS[(self.number - 1) % len(ACTIONS)])


@pytest.mark.e2e
async def test_the_moments_most_like_the_present_one_are_shown(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with model_server(Play(), embed=embeddings) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("AGENT_MODEL", "a-model")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-server")
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
            episodes = await run_experiment(
                session,
                "r",
                agents=["in_context:examples=2:episodes=5:embedding=an-embedder"],
                tasks=["goto"],
                seeds=[SEED],
                history_length=2,
                results=tmp_path,
                progress=False,
            )
    assert list(episodes["success"]) == [True]
    assert {body["model"] for body in server.embedded} == {"an-embedder"}
    assert set(server.authorizations) == {"Bearer sk-of-the-server"}
    bodies = server.asked[1:]
    seen = "".join(
        f"== call {number}\n" + "".join(f"<{m['role']}>\n{m['content']}\n</{m['role']}>\n" for m in messages)
        for number, messages in enumerate([_plain(body) for body in bodies])
    )
    golden = GOLDENS / "agents" / "in_context.txt"
    if "REWRITE_GOLDENS" in os.environ:
        golden.write_text(seen)
    assert seen == golden.read_text()

    source = expert_demonstrations("goto", 0)
    moments = [
        (situation(d.mission, step.observation), step.action)
        for d in [next(source) for _ in range(5)]
        for step in d.steps
    ]
    for body, step in zip(bodies, Run.open("r", results=tmp_path).steps().itertuples(), strict=True):
        _, *shown, _ = _plain(body)
        pairs = [(shown[i]["content"], shown[i + 1]["content"]) for i in (0, 2)]
        now = situation(_plain(body)[-1]["content"].split("\n")[0].split(": ")[1], str(step.observation))
        assert all(pair in moments for pair in pairs)
        order = [likeness(now, text) for text, _ in pairs]
        assert order == sorted(order), "the nearest comes last"
        others = {m for m in moments if m not in pairs}
        assert all(likeness(now, text) <= order[0] + 1e-9 for text, _ in others)


def _plain(body: Body) -> list[dict[str, str]]:
    def text(content: Any) -> str:
        return content if isinstance(content, str) else "".join(part["text"] for part in content)

    return [{"role": m["role"], "content": text(m["content"])} for m in body["messages"]]


@pytest.mark.e2e
async def test_embeddings_are_tried_before_a_run_and_their_failure_is_no_failure_of_the_agent(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = 0

    def embed(body: Body) -> Any:
        nonlocal answered
        answered += 1
        return embeddings(body) if answered < 4 else refusal(400, "no more")

    plan: dict[str, Any] = {"tasks": ["goto"], "seeds": [SEED], "results": tmp_path, "progress": False}
    backoff = Backoff(attempts=1)
    async with model_server(Play(), embed=embed) as server, model_server(Play()) as without:
        monkeypatch.setenv("AGENT_MODEL", "a-model")
        monkeypatch.setenv("OPENAI_BASE_URL", without.base_url)
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
            with pytest.raises(InputError, match="name one that its server offers"):
                await run_experiment(session, "a", agents=["in_context"], backoff=backoff, **plan)
            with pytest.raises(ModelError, match=r"embeddings: .*404"):
                await run_experiment(session, "b", agents=["in_context:embedding=x"], backoff=backoff, **plan)
        assert len(without.asked) == 2, "the preflight's alone"
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
            episodes = await run_experiment(
                session, "c", agents=["in_context:embedding=x:episodes=2"], backoff=backoff, **plan
            )
    (row,) = episodes.itertuples()
    assert (row.status, row.error_kind, row.success) == (
        "error",
        "bad request",
        None,
    ) or row.status == "error"
    assert row.episode_length < len(ACTIONS)
    assert "no more" in row.error


@pytest.mark.e2e
@pytest.mark.skipif(bool(language_model.missing()), reason="needs the extra llm")
async def test_without_a_server_the_model_of_this_machine_embeds(tmp_path: Path, data: Path) -> None:
    async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
        one, other = await session.embed(["a red key", "a red key and a wall"])
        episodes = await run_experiment(
            session,
            "r",
            agents=["in_context:episodes=1"],
            tasks=["goto"],
            seeds=[SEED],
            results=tmp_path,
            progress=False,
        )
    assert len(one) == len(other) == 576
    assert sum(x * y for x, y in zip(one, other, strict=True)) > 0.5
    assert list(episodes["status"]) == ["ok"]


def episode(**changed: Any) -> Episode:
    async def ask(*words: Any, **named: Any) -> Any:
        raise AssertionError

    async def embed(texts: Any, model: str = "") -> list[list[float]]:
        return [vector(text) for text in texts]

    given = {"ask": ask, "mission": "go", "task": "goto", "seed": 205, "num_dists": 0, "repeat": 0}
    return Episode(**{**given, "max_steps": 64, "history_length": 8, "embed": embed, **changed})


async def test_the_episode_that_is_played_is_never_shown() -> None:
    memory = InContext.prepare(episodes=3)["memory"]
    first = next(expert_demonstrations("goto", 0))
    now = situation(first.mission, first.steps[0].observation)
    shown = await memory.nearest(now, episode(seed=first.seed), 20)
    assert shown
    assert first.seed not in {moment.seed for moment in shown}
    assert (await memory.nearest(now, episode(), 1))[0].text == now


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("in_context:examples=0", "examples must be 1 to 20; got 0"),
        ("in_context:episodes=201", "episodes must be 1 to 200; got 201"),
        ("in_context:run=nothing", "no run 'nothing'"),
    ],
)
def test_what_is_refused(place: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_agent(place)


def test_equal_agents_have_one_digest_and_others_another() -> None:
    digests = [
        find_agent(place).digest
        for place in ("in_context", "in_context", "in_context:episodes=3", "in_context:embedding=x")
    ]
    assert len(set(digests)) == 3
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"data": [{"index": 0, "embedding": [1.0]}]}, "1 vectors for 2 texts"),
        (
            {"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]},
            "differ in length",
        ),
        ({"data": [{"index": 0, "embedding": "AAAA"}, {"index": 1, "embedding": "AAAA"}]}, "cannot be read"),
        ({"data": "none"}, "cannot be read"),
        ({"error": {"message": "no such thing"}}, "no such thing"),
        ([1], "cannot be read"),
    ],
)
async def test_answers_that_are_no_vectors_are_the_servers_failure(body: Any, words: str) -> None:
    async with (
        model_server(Play(), embed=lambda _: body) as server,
        EmbeddingClient(server.base_url, "m", timeout_s=60, first_timeout_s=60) as client,
    ):
        with pytest.raises(ModelError, match=words) as caught:
            await client.embed(["one", "other"])
    assert caught.value.kind == "bad answer"
