"""What an agent does after the last step: when it is told, what its calls count for, and their failures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from babyai_kit import Run, connect, run_experiment
from babyai_kit.agents import Ending, Message
from babyai_kit.environment import ACTIONS, expert_actions, make_env
from tests.support.model_server import Body, completion, model_server, refusal
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e

SEED = 206
"""In goto: done after one step forward."""


class Looker:
    """Walks by itself, and asks twice when it is over."""

    endings: list[Ending] = []  # noqa: RUF012

    def __init__(self, episode: Any) -> None:
        self.ask, self.model = episode.ask, episode.model

    async def act(self, observation: Any) -> str:
        return "go forward"

    async def finished(self, ending: Ending) -> None:
        self.endings.append(ending)
        first = await self.ask([Message("user", f"{self.model}: how was it?")])
        await self.ask([Message("user", f"{first.text}: {ending.success}")])


async def test_calls_after_the_last_step_count_for_the_episode_and_their_failure_is_mended_by_going_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env("goto")
    env.reset(seed=SEED)
    assert [ACTIONS[action] for action in expert_actions(env) if env.step(action)] == ["go forward"]
    fails = True

    def answer(body: Body) -> Any:
        second = body["messages"][0]["content"].startswith("good")
        return refusal(400, "not this one") if fails and second else completion("good")

    class Broken(Looker):
        async def finished(self, ending: Ending) -> None:
            raise KeyError("nothing")

    async with model_server(answer) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("AGENT_MODEL", "a-model")
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
            plan: Any = {"tasks": ["goto"], "seeds": [SEED], "results": tmp_path, "progress": False}
            (failed,) = (await run_experiment(session, "r", agents=[Looker], **plan)).to_dict("records")
            fails, before = False, len(server.asked)
            (mended,) = (await run_experiment(session, "r", agents=[Looker], **plan)).to_dict("records")
            asked = server.asked[before:]
            (broken,) = (await run_experiment(session, "b", agents=[Broken], **plan)).to_dict("records")
            run = Run.open("r", results=tmp_path)
    assert (failed["status"], failed["error_kind"], failed["calls"]) == ("error", "bad request", 1)
    assert (mended["status"], mended["success"], mended["episode_length"]) == ("ok", True, 1)
    assert (mended["calls"], mended["input_tokens"], mended["output_tokens"]) == (2, 20, 6)
    assert mended["episode_id"] == failed["episode_id"]
    # Of the two questions only the one without an answer is asked again; before it comes the preflight's.
    assert [body["messages"][0]["content"] for body in asked[1:]] == ["good: True"]
    assert list(run.calls()[["step", "call"]].itertuples(index=False, name=None)) == [(1, 0), (1, 1)]
    assert list(run.steps()["calls"]) == [0]
    assert run.reconciliation()["clean"]
    ending = Looker.endings[-1]
    assert (ending.success, ending.observation.step, ending.observation.past.action) == (  # type: ignore[union-attr]
        True,
        1,
        "go forward",
    )
    assert ending.episode_return == mended["episode_return"]
    assert server.asked[1]["messages"][0]["content"] == "a-model: how was it?"
    assert (broken["status"], broken["error_kind"]) == ("error", "agent")
    assert "the agent Broken raised KeyError" in broken["error"]
