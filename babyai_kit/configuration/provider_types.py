"""The gateway's types of model providers: what each is called, needs and takes (measured with the wheel
2026.6.0)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Api = Literal["openai", "anthropic", "gemini", "bedrock"]
"""Whose form of requests a provider takes, in the main."""

ReasoningParameter = Literal["reasoning_effort", "thinking_budget_tokens"]

_BOTH: tuple[ReasoningParameter, ...] = ("reasoning_effort", "thinking_budget_tokens")
_BUDGET: tuple[ReasoningParameter, ...] = ("thinking_budget_tokens",)
_EFFORT: tuple[ReasoningParameter, ...] = ("reasoning_effort",)


@dataclass(frozen=True)
class Provider:
    """One `type` of `[models.NAME.providers.NAME]`."""

    name: str
    """As people write it."""
    api: Api
    key: str = ""
    """Environment variable that has its key unless the table says otherwise; empty: AWS finds its own."""
    key_field: str = "api_key_location"
    keyless: bool = False
    """Takes `api_key_location = "none"`, for servers that want no key."""
    required: tuple[str, ...] = ("model_name",)
    """Fields of its table that have no default."""
    shorthand: bool = True
    """`TYPE::NAME` alone is a model for the gateway."""
    takes_address: bool = False
    """`api_base` may name another server, such as the kit's adapter."""
    address: str = ""
    """Where its OpenAI-compatible API is, if it has one at a fixed address."""
    takes_seed: bool = True
    reasoning: tuple[ReasoningParameter, ...] = _EFFORT
    """What the gateway passes on; it leaves out the others without a word."""


PROVIDERS: Mapping[str, Provider] = {
    "anthropic": Provider(
        "Anthropic",
        "anthropic",
        "ANTHROPIC_API_KEY",
        takes_address=True,
        takes_seed=False,
        reasoning=_BOTH,
    ),
    "aws_bedrock": Provider(
        "AWS Bedrock",
        "bedrock",
        required=("model_id", "region"),
        shorthand=False,
        takes_seed=False,
        reasoning=_BUDGET,
    ),
    "aws_sagemaker": Provider(
        "AWS SageMaker",
        "openai",
        required=("endpoint_name", "model_name", "region", "hosted_provider"),
        shorthand=False,
        reasoning=(),
    ),
    "azure": Provider(
        "Azure", "openai", "AZURE_API_KEY", required=("deployment_id", "endpoint"), shorthand=False
    ),
    "deepseek": Provider(
        "DeepSeek", "openai", "DEEPSEEK_API_KEY", address="https://api.deepseek.com/v1", reasoning=()
    ),
    "fireworks": Provider(
        "Fireworks AI",
        "openai",
        "FIREWORKS_API_KEY",
        address="https://api.fireworks.ai/inference/v1",
        takes_seed=False,
    ),
    "gcp_vertex_anthropic": Provider(
        "Anthropic on Vertex AI",
        "anthropic",
        "GCP_VERTEX_CREDENTIALS_PATH",
        key_field="credential_location",
        required=("model_id", "location", "project_id"),
        takes_seed=False,
        reasoning=_BOTH,
    ),
    "gcp_vertex_gemini": Provider(
        "Vertex AI",
        "gemini",
        "GCP_VERTEX_CREDENTIALS_PATH",
        key_field="credential_location",
        required=("model_id", "location", "project_id"),
        reasoning=_BOTH,
    ),
    "google_ai_studio_gemini": Provider(
        "Google AI Studio",
        "gemini",
        "GOOGLE_AI_STUDIO_API_KEY",
        address="https://generativelanguage.googleapis.com/v1beta/openai",
        reasoning=_BOTH,
    ),
    "groq": Provider(
        "Groq", "openai", "GROQ_API_KEY", keyless=True, address="https://api.groq.com/openai/v1"
    ),
    "hyperbolic": Provider(
        "Hyperbolic",
        "openai",
        "HYPERBOLIC_API_KEY",
        address="https://api.hyperbolic.xyz/v1",
    ),
    "mistral": Provider(
        "Mistral", "openai", "MISTRAL_API_KEY", address="https://api.mistral.ai/v1", reasoning=()
    ),
    "openai": Provider(
        "OpenAI",
        "openai",
        "OPENAI_API_KEY",
        keyless=True,
        takes_address=True,
        address="https://api.openai.com/v1",
    ),
    "openrouter": Provider(
        "OpenRouter",
        "openai",
        "OPENROUTER_API_KEY",
        keyless=True,
        address="https://openrouter.ai/api/v1",
        reasoning=_BOTH,
    ),
    "sglang": Provider(
        "SGLang",
        "openai",
        "SGLANG_API_KEY",
        keyless=True,
        required=("model_name", "api_base"),
        shorthand=False,
        takes_address=True,
    ),
    "tgi": Provider(
        "Text Generation Inference",
        "openai",
        "TGI_API_KEY",
        keyless=True,
        required=("api_base",),
        shorthand=False,
        takes_address=True,
        reasoning=(),
    ),
    "together": Provider("Together AI", "openai", "TOGETHER_API_KEY", address="https://api.together.xyz/v1"),
    "vllm": Provider(
        "vLLM",
        "openai",
        "VLLM_API_KEY",
        keyless=True,
        required=("model_name", "api_base"),
        shorthand=False,
        takes_address=True,
        reasoning=(),
    ),
    "xai": Provider("xAI", "openai", "XAI_API_KEY", address="https://api.x.ai/v1"),
}
"""By type."""
