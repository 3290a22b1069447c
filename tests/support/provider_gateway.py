"""The embedded gateway with the function `act` and a model at each of some providers, and no store."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from tensorzero import AsyncTensorZeroGateway, BaseTensorZeroError, TensorZeroError

from babyai_kit.agents.template_agent import SAMPLE_ARGUMENTS
from babyai_kit.configuration.answer_forms import FormRequest
from babyai_kit.errors import ServiceError
from babyai_kit.gateway.errors import call_error, start_error
from babyai_kit.gateway.inference_input import template_input
from tests.support.project import CONFIG


@asynccontextmanager
async def provider_gateway(
    tables: Mapping[str, Mapping[str, Any]],
) -> AsyncIterator[AsyncTensorZeroGateway]:
    """The gateway in which each of these provider tables is a model and a variant of `act`, by its name.

    Raises what the kit makes of a gateway that does not start.
    """
    act = CONFIG / "functions" / "act"
    variant = {
        "type": "chat_completion",
        "templates": {
            "system": {"path": str(act / "system.minijinja")},
            "user": {"path": str(act / "user_history.minijinja")},
        },
        "json_mode": "off",
    }
    function = {
        "type": "json",
        "schemas": {"user": {"path": str(act / "user_schema.json")}},
        "output_schema": str(act / "output_schema.json"),
        "variants": {name: variant | {"model": name} for name in tables},
    }
    models = {name: {"routing": ["p"], "providers": {"p": dict(t)}} for name, t in tables.items()}
    settings = {"disable_pseudonymous_usage_analytics": True, "observability": {"enabled": False}}
    document = {"gateway": settings, "functions": {"act": function}, "models": models}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tensorzero.toml"
        file.write_text(tomlkit.dumps(document))
        try:
            gateway: Any = await AsyncTensorZeroGateway.build_embedded(  # type: ignore[misc]
                config_file=str(file), clickhouse_url=None
            )
        except BaseTensorZeroError as error:
            raise start_error(str(error)) from None
        try:
            yield gateway
        finally:
            del gateway
            gc.collect()


async def ask(
    gateway: AsyncTensorZeroGateway, variant: str, request: FormRequest | None = None, **params: Any
) -> Any:
    """The gateway's response to one question. Raises what the kit makes of its errors."""
    request = request or FormRequest("off")
    params = {"max_tokens": 2048, "json_mode": request.json_mode} | params
    params = {name: value for name, value in params.items() if value is not None}
    try:
        return await gateway.inference(
            function_name="act",
            variant_name=variant,
            input=template_input(SAMPLE_ARGUMENTS),
            params={"chat_completion": params},
            extra_body=[dict(entry) for entry in request.extra_body],
            include_raw_usage=True,
        )
    except BaseTensorZeroError as error:
        status = error.status_code if isinstance(error, TensorZeroError) else None
        raise call_error(str(error), status) from None


async def error_of(gateway: AsyncTensorZeroGateway, variant: str, **params: Any) -> ServiceError:
    """The error of a question that must not be answered; its message is one line."""
    with pytest.raises(ServiceError) as caught:
        await ask(gateway, variant, **params)
    assert "\n" not in str(caught.value)
    return caught.value
