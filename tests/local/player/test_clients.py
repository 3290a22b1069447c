"""Real clients: the openai package and TensorZero's embedded gateway."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path
from typing import Any

import pytest
import tensorzero

from babyai_kit.configuration.models import OFFLINE_MODEL
from babyai_kit.local.player import Fault, OfflinePlayer
from tests.support.messages import RULES, body, user_text

SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "action": {
            "type": "string",
            "enum": ["turn left", "turn right", "go forward", "pick up", "drop", "toggle"],
        }
    },
    "required": ["action"],
    "additionalProperties": False,
}
JSON_MODES = ("off", "on", "strict", "tool")


async def test_openai_package() -> None:
    openai = pytest.importorskip("openai")
    request = body(seed=1, temperature=0)
    async with (
        OfflinePlayer(api_key="k") as player,
        openai.AsyncOpenAI(base_url=player.base_url, api_key="k", max_retries=0) as client,
    ):
        answer = await client.chat.completions.create(**request)
        assert json.loads(answer.choices[0].message.content) == {"action": "go forward"}
        assert answer.usage.completion_tokens > 0

        stream = await client.chat.completions.create(**request, stream=True)
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(pieces) == answer.choices[0].message.content

        tool = {"type": "function", "function": {"name": "act", "parameters": SCHEMA}}
        answer = await client.chat.completions.create(**request, tools=[tool], tool_choice="required")
        (call,) = answer.choices[0].message.tool_calls
        assert (call.function.name, call.function.arguments) == ("act", '{"action": "go forward"}')

        assert [model.id async for model in await client.models.list()] == [OFFLINE_MODEL]
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(**{**request, "model": "gpt-9"})
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="x").models.list()


async def test_openai_package_retries_faults() -> None:
    openai = pytest.importorskip("openai")
    async with (
        OfflinePlayer(faults="429=0.3,500=0.2,reset=0.2") as player,
        openai.AsyncOpenAI(base_url=player.base_url, api_key="k", max_retries=3) as client,
    ):
        calls = (client.chat.completions.create(**body(seed=seed)) for seed in range(10))
        assert len(await asyncio.gather(*calls)) == 10
        assert player.stats.answers == 10
        assert sum(player.stats.faults.values()) > 0


def write_config(folder: Path, base_url: str) -> Path:
    (folder / "output.json").write_text(json.dumps(SCHEMA))
    variants = "".join(
        f'[functions.act.variants.{mode}]\ntype = "chat_completion"\nmodel = "agent"\njson_mode = "{mode}"\n'
        for mode in JSON_MODES
    )
    config = folder / "tensorzero.toml"
    config.write_text(
        f"""
[gateway]
observability.enabled = false
disable_pseudonymous_usage_analytics = true
[functions.act]
type = "json"
output_schema = "output.json"
{variants}
[models.agent]
routing = ["primary"]
[models.agent.providers.primary]
type = "openai"
model_name = "{OFFLINE_MODEL}"
api_base = "{base_url}"
api_key_location = "none"
"""
    )
    return config


async def infer(gateway: Any, mode: str, **params: float) -> tuple[Any, Any]:
    """One call of `act`: the answer's raw text and what the gateway parsed."""
    text = user_text("go to the red ball", "a wall 4 steps forward\na red ball 2 steps right")
    prompt = {"system": RULES, "messages": [{"role": "user", "content": text}]}
    answer = await gateway.inference(
        function_name="act", variant_name=mode, input=prompt, params={"chat_completion": params}
    )
    assert answer.usage.input_tokens > 20
    return answer.output.raw, answer.output.parsed


async def play_through_gateway(config: Path, script: list[str | Fault]) -> None:
    gateway: Any = tensorzero.AsyncTensorZeroGateway.build_embedded(config_file=str(config))
    gateway = await gateway
    for mode in JSON_MODES:
        assert (await infer(gateway, mode, temperature=0))[1] == {"action": "turn right"}
        assert len({str(await infer(gateway, mode, seed=7)) for _ in range(5)}) == 1
        assert len({str(await infer(gateway, mode, seed=seed)) for seed in range(30)}) > 1
        script.append("I go forward.")
        assert await infer(gateway, mode) == ("I go forward.", None)
    # How spoiled answers look behind the gateway: never an error.
    script.append(Fault("empty"))
    assert await infer(gateway, "on") == ("", None)
    script.append(Fault("null"))
    assert await infer(gateway, "on") == (None, None)
    script.append(Fault("huge"))
    assert len((await infer(gateway, "off"))[0]) > 100_000
    for kind in ("429", "reset", "html", "no_choices"):
        script.append(Fault(kind))
        with pytest.raises(tensorzero.TensorZeroError):
            await infer(gateway, "on")


@pytest.mark.e2e
async def test_embedded_gateway(tmp_path: Path) -> None:
    script: list[str | Fault] = []
    async with OfflinePlayer(answers=lambda _: script.pop() if script else None) as player:
        await play_through_gateway(write_config(tmp_path, player.base_url), script)
        # The gateway is gone only when its last reference is; a moment lets its threads end.
        gc.collect()
        await asyncio.sleep(0.3)
