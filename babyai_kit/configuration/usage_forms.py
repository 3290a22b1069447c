"""How the gateway's providers report tokens: where each count stands, and which counts hold which.

Whatever the form, the gateway's own figures are the same: its input tokens hold those read from a cache and
those written to one, its output tokens hold those of reasoning (measured with the wheel 2026.6.0).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Tokens = Literal["input", "cached", "written", "output"]
"""What a price is paid for: plain input, input read from a provider's cache, input written to it, output."""


@dataclass(frozen=True)
class CostPointer:
    """One term of a response's cost: the count at `pointer` times a price."""

    pointer: str
    """JSON pointer into the response."""
    tokens: Tokens
    required: bool = False
    """Without the count there is no cost; else an absent count costs nothing."""
    within_input: bool = False
    """These tokens are counted as plain input already, so that the term is the difference of two prices."""

    def price(self, prices: Mapping[Tokens, float]) -> float:
        """What one token here adds to the cost, in the unit of `prices`. Without a price of their own, cached
        and written tokens cost what plain input costs."""
        price = prices.get(self.tokens, prices["input"])
        return round(price - prices["input"], 9) if self.within_input else price


@dataclass(frozen=True)
class UsageForm:
    """Where one API reports its tokens: JSON pointers, below `root` of a response."""

    root: str
    input: str
    output: tuple[str, ...]
    """Their sum."""
    cached: tuple[str, ...] = ()
    """The first that is there."""
    written: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    apart: bool = False
    """Cached and written tokens stand beside the input, and not within it."""

    def cost_pointers(self) -> Iterator[CostPointer]:
        """The terms whose sum is the cost of a response."""
        yield CostPointer(self.root + self.input, "input", required=True)
        if self.cached:
            yield CostPointer(self.root + self.cached[0], "cached", within_input=not self.apart)
        if self.written:
            yield CostPointer(self.root + self.written[0], "written", within_input=not self.apart)
        for pointer in self.output:
            # Gemini leaves out a count that is zero.
            yield CostPointer(self.root + pointer, "output", required=len(self.output) == 1)


_CACHED = (
    "/prompt_tokens_details/cached_tokens",
    "/input_tokens_details/cached_tokens",  # OpenAI's Responses API
    "/prompt_cache_hit_tokens",  # DeepSeek
    "/cached_tokens",  # Moonshot
    "/cache_read_input_tokens",  # proxies in front of Anthropic
)
_WRITTEN = ("/prompt_tokens_details/cache_write_tokens", "/cache_creation_input_tokens")
_REASONING = (
    "/completion_tokens_details/reasoning_tokens",
    "/output_tokens_details/reasoning_tokens",
    "/reasoning_tokens",
)

OPENAI_USAGE = UsageForm(
    "/usage",
    "/prompt_tokens",
    ("/completion_tokens",),
    cached=_CACHED,
    written=_WRITTEN,
    reasoning=_REASONING,
)
RESPONSES_USAGE = UsageForm(
    "/usage", "/input_tokens", ("/output_tokens",), cached=_CACHED[1:2], reasoning=_REASONING[1:2]
)
DEEPSEEK_USAGE = UsageForm(
    "/usage", "/prompt_tokens", ("/completion_tokens",), cached=_CACHED[2:3], reasoning=_REASONING[:1]
)
XAI_USAGE = UsageForm(
    "/usage",
    "/prompt_tokens",
    ("/completion_tokens", "/completion_tokens_details/reasoning_tokens"),
    cached=_CACHED[:1],
    reasoning=_REASONING[:1],
)
ANTHROPIC_USAGE = UsageForm(
    "/usage",
    "/input_tokens",
    ("/output_tokens",),
    cached=("/cache_read_input_tokens",),
    written=("/cache_creation_input_tokens",),
    apart=True,
)
BEDROCK_USAGE = UsageForm(
    "/usage",
    "/inputTokens",
    ("/outputTokens",),
    cached=("/cacheReadInputTokens",),
    written=("/cacheWriteInputTokens",),
    apart=True,
)
GEMINI_USAGE = UsageForm(
    "/usageMetadata",
    "/promptTokenCount",
    ("/candidatesTokenCount", "/thoughtsTokenCount"),
    cached=("/cachedContentTokenCount",),
    reasoning=("/thoughtsTokenCount",),
)

_FORMS = {
    "anthropic": ANTHROPIC_USAGE,
    "aws_bedrock": BEDROCK_USAGE,
    "deepseek": DEEPSEEK_USAGE,
    "gcp_vertex_anthropic": ANTHROPIC_USAGE,
    "gcp_vertex_gemini": GEMINI_USAGE,
    "google_ai_studio_gemini": GEMINI_USAGE,
    "xai": XAI_USAGE,
}


def usage_form(provider_type: str, *, api_type: str = "chat_completions") -> UsageForm:
    """How a provider of this type reports tokens; OpenAI's form for types that are not known.

    `api_type`: as the gateway names it; OpenAI's Responses API has a form of its own.
    """
    if api_type == "responses":
        return RESPONSES_USAGE
    return _FORMS.get(provider_type, OPENAI_USAGE)


def cost_entries(
    provider_type: str, prices: Mapping[Tokens, float], *, api_type: str = "chat_completions"
) -> list[dict[str, Any]]:
    """The provider's `cost` in the gateway's TOML. `prices`: US dollars per million tokens."""
    return [
        {"pointer": term.pointer, "cost_per_million": price, "required": term.required}
        for term in usage_form(provider_type, api_type=api_type).cost_pointers()
        if (price := term.price(prices)) or term.required
    ]
