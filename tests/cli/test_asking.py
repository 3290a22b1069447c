"""`doctor --ask` against servers that take different things, through the gateway of this process."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from babyai_kit.cli.asking import Asked, announcement, ask_models
from babyai_kit.cli.metered_gateway import MAX_CALLS
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from tests.support.anthropic_server import KEY, NEW, OLD, anthropic_server
from tests.support.model_server import Body, completion, model_server, refusal
from tests.support.project import CONFIG
from tests.support.provider_hosts import Arrival, provider_hosts

pytestmark = pytest.mark.e2e

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
SECRET = "canary-of-an-address"
ACTION = '{"action": "turn left"}'


def has_picture(body: Body) -> bool:
    return "data:image/png;base64," in json.dumps(body["messages"])


def seeing(body: Body) -> Any:
    """As OpenAI's newer models are."""
    if "temperature" in body:
        return refusal(400, "Unsupported value: 'temperature' does not support 0.0 with this model.")
    return completion("Orange." if has_picture(body) else '{"action": "turn left"}', usage=USAGE)


def plain(body: Body) -> Any:
    """As llama.cpp without a projector, and a proxy that knows few parameters."""
    if has_picture(body):
        return refusal(500, "image input is not supported - hint: you may need to provide the mmproj")
    if body.get("response_format", {}).get("type") == "json_schema":
        return refusal(400, "response_format json_schema is not supported")
    if "seed" in body:
        return refusal(400, "unknown field: seed")
    return completion()


def refusing(body: Body) -> Any:
    """Without a word about what is wrong, so that everything is tried."""
    return refusal(400, "no")


class Busy:
    """Full at first; it ignores pictures, and fails where a temperature is asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, body: Body) -> Any:
        self.calls += 1
        if self.calls == 1:
            return refusal(429, "too many requests", Retry_After="0.1")
        if "temperature" in body:
            return refusal(503, "out of memory")
        return completion()


@asynccontextmanager
async def servers(folder: Path, **answers: Any) -> AsyncIterator[dict[str, Any]]:
    """A server for each of `answers`, each with a model of that name in config/models.toml."""
    lines = []
    async with AsyncExitStack() as stack:
        found = {name: await stack.enter_async_context(model_server(a)) for name, a in answers.items()}
        for name, server in found.items():
            address = server.base_url.replace("//", f"//user:{SECRET}@")
            lines += [
                f'[models.{name}]\nrouting = ["p"]\n[models.{name}.providers.p]\ntype = "vllm"',
                f'model_name = "{name}"\napi_base = "{address}"\napi_key_location = "none"',
            ]
        claude = await stack.enter_async_context(
            anthropic_server(
                lambda body: "orange" if '"image/png"' in json.dumps(body) else '{"action": "turn left"}',
                models={"new": NEW, "old": OLD},
            )
        )
        for name in ("new", "old"):
            lines += [
                f'[models.{name}]\nrouting = ["p"]\n[models.{name}.providers.p]\ntype = "anthropic"',
                f'model_name = "{name}"\napi_base = "{claude.base_url}"',
            ]
        (folder / "models.toml").write_text("\n".join(lines))
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIG, tmp_path / "config"))


def rows(asked: Asked) -> dict[str, list[str]]:
    """The cells of the table by model."""
    lines = asked.table.splitlines()
    assert all(len(line) < 80 for line in lines)
    return {line.split()[0]: line.split()[1:] for line in lines[1:] if len(line.split()) == 9}


async def test_what_each_model_takes(folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    asked_before: list[int] = []

    def say(line: str) -> None:
        asked_before.append(len(first.asked))
        said.append(line)

    async with model_server(seeing) as first, servers(folder, plain=plain, busy=Busy()) as others:
        for name, value in {
            "OPENAI_BASE_URL": first.base_url,
            "OPENAI_API_KEY": "sk-canary",
            "ANTHROPIC_API_KEY": KEY,
            "AGENT_MODELS": "gpt-6-luna,plain,busy,new,old,offline-player,groq::x",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("GROQ_API_KEY", raising=False)
        asked = await ask_models(say=say, env_file=None, config=folder, data=data)
    found = rows(asked)
    #                       answer    seed   temp   effort image
    assert found["gpt-6-luna"][:5] == ["schema", "yes", "no", "yes", "yes"]
    assert found["plain"][:5] == ["json", "no", "yes", "yes", "no"]
    assert found["busy"][:5] == ["schema", "yes", "?", "yes", "blind"]
    assert found["new"][:5] == ["schema", "no", "no", "yes", "yes"]
    assert found["old"][:5] == ["tool", "no", "yes", "no", "yes"]
    assert found["offline-player"][0] == "schema"
    assert "groq::x" not in found
    # Four of its five calls were answered, each with 1,000 and 100 tokens at $0.10 and $0.50 per million.
    assert found["gpt-6-luna"][6:] == ["5", f"{4 * (1000 * 0.1 + 100 * 0.5) / 1e6:.4f}"]
    assert found["plain"][6:] == ["6", "?"]
    assert (len(first.asked), len(others["plain"].asked)) == (5, 6)
    assert len(others["busy"].asked) == int(found["busy"][6]) + 1  # less the one that was turned away
    assert "for $0.0006; what those of plain, busy, new, old cost is not known." in asked.table
    (note,) = asked.findings
    assert (note.grade, note.text[:22]) == ("note", "busy: with temperature")
    text = " ".join(said)
    assert text.startswith(
        "Asking 6 models: at most 8 short calls each. They cost money: at most $0.0058; no"
    )
    assert asked_before[0] == 0
    assert "canary" not in text + asked.table + str(asked.findings)


async def test_a_model_that_does_not_answer_holds_no_other_up(
    folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
):
    answers = {
        "gone": lambda body: refusal(404, "The model `gone` does not exist"),
        "locked": lambda body: refusal(401, f"wrong key {SECRET}"),
        "refusing": refusing,
        "prose": lambda body: completion("Sure!"),
    }
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    async with servers(folder, **answers) as asked_at:
        asked = await ask_models(
            [*answers, "new"], say=lambda line: None, env_file=None, config=folder, data=data
        )
    found = rows(asked)
    assert found.keys() == {"prose", "new"}
    assert found["prose"][0] == "invalid"
    texts = {finding.text.partition(":")[0]: (finding.grade, finding.text) for finding in asked.findings}
    assert texts["gone"][0] == texts["locked"][0] == texts["refusing"][0] == "TROUBLE"
    assert "does not exist" in texts["gone"][1]
    assert "refused the key (401)" in texts["locked"][1]
    assert texts["prose"][0] == "note"
    assert "its answer is not valid" in texts["prose"][1]
    assert SECRET not in asked.table + str(asked.findings)
    assert all(len(server.asked) <= MAX_CALLS for server in asked_at.values())
    assert len(asked_at["refusing"].asked) > 3


async def test_nothing_to_ask_and_a_gateway_that_does_not_start_are_told(
    folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch
):
    said: list[str] = []
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    asked = await ask_models(["groq::x"], say=said.append, env_file=None, config=folder, data=data)
    assert (asked, said) == (Asked(()), ["No model can be asked."])
    monkeypatch.setenv("AGENT_TIMEOUT_MS", "soon")
    (finding,) = (await ask_models(say=said.append, env_file=None, config=folder, data=data)).findings
    assert finding.grade == "TROUBLE"
    assert "AGENT_TIMEOUT_MS" in finding.text


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ("offline-player", "1 model: at most 8 short calls, which cost nothing."),
        ("gpt-6-luna", "1 model: at most 8 short calls. They cost money: at most $0.0058."),
        ("mine,offline-player", "each. They cost money; no price is known of mine."),
        ("gpt-6-luna,gpt-4o-mini", "at most $0.0133 (gpt-6-luna $0.0058, gpt-4o-mini $0.0075)."),
    ],
)
def test_the_cost_at_most_is_told_before(folder: Path, models: str, words: str):
    settings = load_settings(None, {"OPENAI_API_KEY": "sk-1"})
    config = load_config(folder, settings)
    assert announcement(config, [config.model(name) for name in models.split(",")]).endswith(words)


OTHERS = """
[models.google]
routing = ["p"]
[models.google.providers.p]
type = "google_ai_studio_gemini"
model_name = "gemini-x"
[models.aws]
routing = ["p"]
[models.aws.providers.p]
type = "aws_bedrock"
model_id = "claude-x"
region = "us-east-1"
endpoint_url = "{aws}"
api_key = "env::BEDROCK_TEST_TOKEN"
"""


async def test_a_picture_in_the_form_of_each_api(
    folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Anthropic's and OpenAI's are taken by the servers above."""
    monkeypatch.setenv("GOOGLE_AI_STUDIO_API_KEY", "k")
    monkeypatch.setenv("BEDROCK_TEST_TOKEN", "k")

    def gemini(arrival: Arrival) -> Body:
        text = "orange" if '"image/png"' in json.dumps(arrival.body) else ACTION
        return {
            "candidates": [{"content": {"parts": [{"text": text}], "role": "model"}}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1},
        }

    def converse(body: Body) -> Body:
        text = "an Orange square" if '"image"' in json.dumps(body) else ACTION
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
            "metrics": {"latencyMs": 1},
        }

    async with (
        provider_hosts(tmp_path, monkeypatch) as hosts,
        model_server(converse, endpoint="/model/claude-x/converse", path="") as aws,
    ):
        hosts.answer = gemini
        (folder / "models.toml").write_text(OTHERS.format(aws=aws.base_url))
        asked = await ask_models(
            ["google", "aws"], say=lambda line: None, env_file=None, config=folder, data=data
        )
    found = rows(asked)
    assert {name: cells[4] for name, cells in found.items()} == {"google": "yes", "aws": "yes"}
    assert not asked.findings
