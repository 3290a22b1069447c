"""Models behind a strict Anthropic Messages API play whole episodes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import connect, run_experiment
from babyai_kit.configuration.dialects import Dialect
from babyai_kit.errors import ModelError
from babyai_kit.runs.run import Run
from tests.support.anthropic_server import KEY, NEW, OLD, AnthropicServer, Claude, anthropic_server
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e

USAGE = {"input_tokens": 50, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 10}
STEPS = 64
BUDGET = {"thinking_budget_tokens": 1024, "max_tokens": 2048}


def answer(body: Any) -> str:
    """Turns for ever, with a thought where the form of the answer has room for one."""
    said = {"action": "turn left"}
    text = json.dumps(body)
    return json.dumps({"thinking": "hm"} | said if '"thinking": {"type": "string"}' in text else said)


class Played:
    """A run of one episode, `server` as it was asked, and how."""

    def __init__(self, row: Any, server: AnthropicServer, dialect: Dialect) -> None:
        self.row, self.server, self.dialect = row, server, dialect


@pytest.fixture
def play(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)

    async def played(claude: Claude, *, name: str = "claude-x", **sampling: Any) -> Played:
        config = shutil.copytree(CONFIG, tmp_path / "config")
        async with anthropic_server(answer, models={"claude-x": claude}, usage=USAGE) as server:
            (config / "models.toml").write_text(
                '[models.claude]\nrouting = ["own"]\n[models.claude.providers.own]\ntype = "anthropic"\n'
                f'model_name = "{name}"\napi_base = "{server.base_url}"\n'
            )
            plan: Any = {"variants": ["reasoning"], "tasks": ["goto"], "seeds": [200], "models": ["claude"]}
            async with connect(env_file=None, config=config, data=data, quiet=True) as session:
                rows = await run_experiment(
                    session, "r", **plan, **sampling, results=tmp_path, progress=False, temperature=0.5
                )
        (dialect,) = Run.open("r", results=tmp_path).manifest.dialects.values()
        return Played(rows.loc[0], server, dialect)

    return played


CLAUDES: dict[str, tuple[Claude, dict[str, Any], Dialect]] = {
    "any": (Claude(), {}, Dialect("schema", ("seed",))),
    "old": (OLD, {}, Dialect("tool", ("seed",))),
    "new": (NEW, {}, Dialect("schema", ("seed", "temperature"))),
    "new with effort": (NEW, {"reasoning_effort": "low"}, Dialect("schema", ("seed", "temperature"))),
    "any with a budget": (Claude(), BUDGET, Dialect("schema", ("seed", "temperature"))),
    # A tool that must be called and thoughts do not go together.
    "old with a budget": (OLD, BUDGET, Dialect("words", ("seed", "temperature"))),
}


@pytest.mark.parametrize(("claude", "sampling", "dialect"), CLAUDES.values(), ids=CLAUDES)
async def test_a_claude_plays_as_it_wants_to_be_asked(play, claude, sampling, dialect):
    played = await play(claude, **sampling)
    assert (played.row["status"], played.row["invalid_actions"]) == ("ok", 0)
    assert played.row["episode_length"] == STEPS
    assert (played.row["input_tokens"], played.row["output_tokens"]) == (100 * STEPS, 30 * STEPS)
    assert played.dialect == dialect
    # What the model refuses is found out first, and never asked for again.
    assert len(played.server.asked) == STEPS + 1
    sent = played.server.asked[-1]
    assert ("temperature" in sent) == ("temperature" not in dialect.omitted)


async def test_a_model_that_anthropic_does_not_have_ends_the_run_before_it_begins(play):
    with pytest.raises(ModelError, match="check the model's name at Anthropic") as caught:
        await play(Claude(), name="claude-y")
    assert caught.value.fatal
    assert "nothing was run" in str(caught.value)


async def test_a_wrong_key_is_named_before_the_run_begins(play, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-wrong")
    with pytest.raises(ModelError, match="set ANTHROPIC_API_KEY") as caught:
        await play(Claude())
    assert caught.value.fatal
    assert "sk-ant-wrong" not in str(caught.value)
