"""Whatever a model answers is an action or a counted invalid one, and never an exception."""

from __future__ import annotations

import json
import os
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babyai_kit import ACTIONS, run_experiment
from babyai_kit.agents.step_prompt import template_arguments
from babyai_kit.agents.template_agent import FALLBACK_ACTION, decide
from babyai_kit.environment.playback import Playback
from babyai_kit.experiment.live_episode import LiveEpisode, PlannedEpisode
from babyai_kit.gateway.session import Answer
from babyai_kit.local.player import ChatRequest, OfflinePlayer
from babyai_kit.runs.journal import Journal, read_steps
from babyai_kit.runs.records import EpisodeKey
from tests.support.answers import CORPUS, GOOD, generated
from tests.support.journals import take
from tests.support.project import CONFIG

THROUGH_GATEWAY = int(os.environ.get("FAULTS_ANSWERS", "1000"))
KEY = EpisodeKey("r", "baseline", "m", "goto", 0, 3, 0, 8)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ACTIONS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["action", "thinking"]) | st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=500)
@given(values)
def test_any_value_decides(value):
    decision = decide(value)
    assert decision.action in ACTIONS
    chosen = isinstance(value, dict) and isinstance(value.get("action"), str) and value["action"] in ACTIONS
    assert decision.valid == chosen
    assert decision.valid or decision.action == FALLBACK_ACTION


@settings(max_examples=200)
@given(texts=st.lists(st.text(st.characters(), max_size=80), min_size=1, max_size=8))
def test_any_text_comes_back_from_the_journal(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("journal")
    live = LiveEpisode(PlannedEpisode(KEY, "d", "e"))
    with Journal(folder) as journal:
        for text in texts:
            journal.append(take(live, Answer(text, {"thinking": text}, 1, 1, None, "i")))
    (steps,) = read_steps(folder).values()
    assert [s.answer for s in steps] == texts
    assert not any(s.valid for s in steps)
    # What was recorded replays into the same environment.
    again = Playback(KEY.task, seed=KEY.seed, num_dists=KEY.num_dists)
    assert list(again.replay(steps)) == steps
    assert again.observation == live.playback.observation


@pytest.mark.e2e
async def test_nasty_answers_through_the_gateway_are_the_agents(open_session, tmp_path: Path):
    """Every answer of the corpus and many variations, by way of the model server and the real gateway."""
    texts = iter(generated(THROUGH_GATEWAY, seed=1))
    given: dict[str, str] = {}

    def answers(request: ChatRequest) -> str:
        given.setdefault(request.identity, next(texts, GOOD[0]))
        return given[request.identity]

    async with OfflinePlayer(answers=answers) as player, open_session(player.base_url) as session:
        episodes = await run_experiment(
            session,
            "r",
            ["baseline", "history_and_reasoning"],
            ["goto", "open"],
            range(max(2, THROUGH_GATEWAY // 200)),
            max_tokens=50_000,
            results=tmp_path,
            progress=False,
        )
        assert next(texts, None) is None
    assert set(episodes["status"]) == {"ok"}
    steps = [s for of_one in read_steps(tmp_path / "r").values() for s in of_one]
    assert len(CORPUS) < len(steps)
    assert all(s.action in ACTIONS for s in steps)
    assert episodes["invalid_actions"].sum() == sum(not s.valid for s in steps) > 0
    assert all(s.valid for s in steps if s.answer in GOOD)
    schema = json.loads((CONFIG / "functions/act/output_schema.json").read_text())
    for step in steps:
        if step.valid:
            jsonschema.validate(json.loads(step.answer), schema)
            assert json.loads(step.answer)["action"] == step.action


def test_the_input_of_a_step_that_holds_such_an_answer_is_json():
    live = LiveEpisode(PlannedEpisode(KEY, "d", "e"))
    for text in CORPUS:
        if not live.done:
            take(live, Answer(text, None, 1, 1, None, "i"))
    json.dumps(template_arguments("m", "o", live.steps), allow_nan=False)
