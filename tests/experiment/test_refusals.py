"""What a server's words refuse: the texts are those of the products named."""

from __future__ import annotations

import pytest

from babyai_kit.configuration.dialects import Dialect
from babyai_kit.experiment.refusals import refusal
from babyai_kit.local.adapter.failures import failure_of

SCHEMA = Dialect("schema")


@pytest.mark.parametrize(
    ("status", "words", "refused"),
    [
        # OpenAI
        (400, "Unsupported parameter: 'seed' is not supported with this model.", "seed"),
        (400, "Unsupported value: 'temperature' does not support 0.2 with this model.", "temperature"),
        (400, "'response_format' of type 'json_schema' is not supported with this model.", "answer format"),
        (400, "max_tokens is too large: 99999. This model supports at most 16384 tokens", None),
        (400, "The model `theirs` does not exist or you do not have access to it.", None),
        # Mistral, vLLM
        (422, "Extra inputs are not permitted (body max_completion_tokens)", "max_completion_tokens"),
        (
            400,
            "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens')}]",
            "max_completion_tokens",
        ),
        (400, "'max_tokens' or 'max_completion_tokens' is too large: 1024 > 512.", None),
        # Gemini, DeepSeek, LM Studio, LiteLLM
        (400, 'Invalid JSON payload received. Unknown name "seed": Cannot find field.', "seed"),
        (400, "This response_format type is unavailable now", "answer format"),
        (400, "'response_format.type' must be 'json_schema' or 'text'", "answer format"),
        (400, "UnsupportedParamsError: bedrock does not support parameters: ['seed']", "seed"),
        # OpenRouter
        (404, "No endpoints found that support response_format", "answer format"),
        (404, "No endpoints found that can handle the requested parameters.", "unnamed"),
        (400, "Provider returned error", "unnamed"),
        # Anthropic
        (400, "`temperature` is deprecated for this model.", "temperature"),
        (
            400,
            "`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.",
            "temperature",
        ),
        (400, "'claude-3-haiku-20240307' does not support output format.", "answer format"),
        (400, "Thinking may not be enabled when tool_choice forces tool use.", "answer format"),
        (400, "`max_tokens` must be greater than `thinking.budget_tokens`.", None),
        (400, '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".', None),
        # llama.cpp, nginx, Ollama
        (400, "the request exceeds the available context size. try increasing it", None),
        (413, "413 Request Entity Too Large", None),
        (404, 'model "theirs" not found, try pulling it first', None),
        # Busy, loading, or of one prompt.
        (503, "seed is not supported while overloaded", None),
        (503, "Loading model with json_schema", None),
        (429, "response_format is not supported", None),
    ],
)
def test_what_a_server_refuses(status: int, words: str, refused: str | None) -> None:
    assert refusal(failure_of(status, words), SCHEMA) == refused


def test_our_own_words_refuse_nothing() -> None:
    assert refusal(failure_of(400, ""), SCHEMA) == "unnamed"
    assert refusal(failure_of(404, ""), SCHEMA) is None
