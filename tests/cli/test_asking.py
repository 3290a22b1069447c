"""`doctor --ask` against servers that take different things, through the gateway of this process."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from babyai_kit.cli.asking import Asked, announcement, ask_models
from babyai_kit.cli.image_question import image_question, sees
from babyai_kit.cli.metered_gateway import MAX_CALLS
from babyai_kit.configuration.answer_forms import FormRequest
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import ServiceError
from tests.support.anthropic_server import KEY, NEW, OLD, anthropic_server
from tests.support.model_server import Body, completion, model_server, refusal
from tests.support.project import CONFIG
from tests.support.provider_gateway import ask, provider_gateway
from tests.support.provider_hosts import provider_hosts

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
SECRET = "canary-of-an-address"


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
    return completion(usage={})


def refused_by_chance(body: Body) -> Any:
    """Nothing is wrong with the request, and there is no limit to it."""
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
                lambda body: "orange" if not isinstance(body["messages"][0]["content"], str) else "{}",
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
