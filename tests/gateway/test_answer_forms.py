"""The forms of answers that are asked for at each provider, through the real gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest

from babyai_kit.configuration.answer_forms import FormRequest, answer_forms, form_request
from babyai_kit.configuration.dialects import strict_schema
from babyai_kit.configuration.provider_types import PROVIDERS
from babyai_kit.errors import ModelError
from tests.support.anthropic_server import KEY, NEW, OLD, Claude, anthropic_server
from tests.support.model_server import completion, model_server
from tests.support.project import CONFIG
from tests.support.provider_gateway import ask, provider_gateway
from tests.support.provider_hosts import provider_hosts

pytestmark = pytest.mark.e2e

OUTPUT = json.loads((CONFIG / "functions" / "act" / "output_schema.json").read_text())
SCHEMA = strict_schema(OUTPUT, reasoning=True)
EFFORT = {"reasoning_effort": "low"}
BUDGET = {"thinking_budget_tokens": 1024}
CLAUDES = {
    "any": (Claude(), {}, "schema"),
    "old": (OLD, {}, "tool"),
    "new": (NEW, {}, "schema"),
    "any with effort": (Claude(), EFFORT, "schema"),
    "any with a budget": (Claude(), BUDGET, "schema"),
    "old with a budget": (OLD, BUDGET, "words"),
    "old with effort": (OLD, EFFORT, None),
    "new with effort": (NEW, EFFORT, "schema"),
    "new with a budget": (NEW, BUDGET, None),
}


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def claude(base_url: str) -> dict[str, str]:
    return {"type": "anthropic", "model_name": "claude-x", "api_base": base_url}


async def answered(gateway: Any, type_: str, form: Any, **params: Any) -> bool:
    """Whether a question in this form is answered, always with the same action, and not refused."""
    try:
        response = await ask(gateway, type_, form_request(type_, form, SCHEMA), **params)
    except ModelError as error:
        if error.kind != "bad request":
            raise
        return False
    assert response.output.parsed == {"action": "turn left"}
    return True


async def first_form(gateway: Any, type_: str, **params: Any) -> str | None:
    """The first form that is answered; None if all are refused."""
    for form in answer_forms(type_, reasoning=bool(params)):
        if await answered(gateway, type_, form, **params):
            return form
    return None


@pytest.mark.parametrize(("model", "params", "form"), CLAUDES.values(), ids=CLAUDES)
async def test_the_strictest_form_that_a_claude_takes_is_found(key, model, params, form):
    async with (
        anthropic_server(models={"claude-x": model}) as server,
        provider_gateway({"anthropic": claude(server.base_url)}) as gateway,
    ):
        assert await first_form(gateway, "anthropic", **params) == form
    if form == "schema":
        assert server.asked[-1]["output_config"]["format"]["schema"] == SCHEMA
        assert server.asked[-1]["output_config"].get("effort") == params.get("reasoning_effort")
    if form == "tool":
        assert server.asked[-1]["tools"][0]["input_schema"] == SCHEMA
    for body in server.asked:
        assert "seed" not in body
        assert body["max_tokens"] == 2048


async def test_the_gateways_own_json_mode_begins_the_answer_and_new_claudes_refuse_it(key):
    models = {"claude-x": NEW, "claude-3": OLD}
    async with anthropic_server(models=models) as server:
        new, old = claude(server.base_url), claude(server.base_url) | {"model_name": "claude-3"}
        async with provider_gateway({"new": new, "old": old}) as gateway:
            with pytest.raises(ModelError, match="prefill"):
                await ask(gateway, "new", FormRequest("on"))
            response = await ask(gateway, "old", FormRequest("on"))
    assert response.output.parsed == {"action": "turn left"}


async def test_a_temperature_that_a_claude_refuses_is_named(key):
    async with (
        anthropic_server(models={"claude-x": NEW}) as server,
        provider_gateway({"anthropic": claude(server.base_url)}) as gateway,
    ):
        with pytest.raises(ModelError, match="`temperature` is deprecated") as caught:
            await ask(gateway, "anthropic", temperature=0.5)
        assert caught.value.kind == "bad request"
        await ask(gateway, "anthropic")


GEMINI_SCHEMA = {k: v for k, v in SCHEMA.items() if k != "additionalProperties"} | {
    "propertyOrdering": ["thinking", "action"]
}


async def test_the_request_for_each_form_at_providers_of_other_apis(tmp_path, monkeypatch):
    tables = {
        "google_ai_studio_gemini": {"type": "google_ai_studio_gemini", "model_name": "m"},
        "mistral": {"type": "mistral", "model_name": "m"},
        "deepseek": {"type": "deepseek", "model_name": "m"},
    }
    for type_ in tables:
        monkeypatch.setenv(PROVIDERS[type_].key, "k")
    response_format = {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
    }
    async with provider_hosts(tmp_path, monkeypatch) as hosts, provider_gateway(tables) as gateway:

        async def body_for(type_: str, form: Any) -> Any:
            parts = [{"text": '{"action": "turn left"}'}]
            candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
            gemini = {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 1}}
            hosts.answer = lambda arrival: gemini if "goog" in arrival.host else completion()
            response = await ask(gateway, type_, form_request(type_, form, SCHEMA))
            assert response.output.parsed == {"action": "turn left"}
            return hosts.arrivals[-1].body

        generation = (await body_for("google_ai_studio_gemini", "schema"))["generationConfig"]
        assert generation["responseMimeType"] == "application/json"
        assert generation["responseSchema"] == GEMINI_SCHEMA
        generation = (await body_for("google_ai_studio_gemini", "json"))["generationConfig"]
        assert generation["responseMimeType"] == "application/json"
        assert "responseSchema" not in generation
        tool = (await body_for("google_ai_studio_gemini", "tool"))["tools"][0]["functionDeclarations"][0]
        assert tool["parameters"] == GEMINI_SCHEMA
        assert (await body_for("mistral", "schema"))["response_format"] == response_format
        assert (await body_for("mistral", "json"))["response_format"] == {"type": "json_object"}
        assert "response_format" not in await body_for("mistral", "words")
        assert (await body_for("deepseek", "json"))["response_format"] == {"type": "json_object"}


async def test_the_request_for_each_form_at_bedrock(monkeypatch):
    monkeypatch.setenv("BEDROCK_TEST_TOKEN", "k")
    sent = []

    def answer(body: Any) -> Any:
        sent.append(body)
        content = [{"text": '{"action": "turn left"}'}]
        usage = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}
        message = {"role": "assistant", "content": content}
        return {
            "output": {"message": message},
            "stopReason": "end_turn",
            "usage": usage,
            "metrics": {"latencyMs": 1},
        }

    async with model_server(answer, endpoint="/model/claude-x/converse", path="") as server:
        table = {
            "type": "aws_bedrock",
            "model_id": "claude-x",
            "region": "us-east-1",
            "endpoint_url": server.base_url,
            "api_key": "env::BEDROCK_TEST_TOKEN",
        }
        async with provider_gateway({"aws_bedrock": table}) as gateway:
            for form in answer_forms("aws_bedrock"):
                await ask(gateway, "aws_bedrock", form_request("aws_bedrock", form, SCHEMA))
    held, tool, words = sent
    text_format = held["outputConfig"]["textFormat"]
    assert json.loads(text_format["structure"]["jsonSchema"]["schema"]) == SCHEMA
    assert tool["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"] == SCHEMA
    assert words.keys() == {"messages", "system", "inferenceConfig"}


def test_every_provider_can_be_asked_in_words_and_none_in_a_form_twice():
    for type_ in (*PROVIDERS, "unknown"):
        forms = answer_forms(type_)
        assert forms[-1] == "words"
        assert len(set(forms)) == len(forms)
        assert "tool" not in answer_forms(type_, reasoning=True)
