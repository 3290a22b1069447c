"""A question about a picture, written into a request of the gateway's in the form of each provider's API.

The function `act` takes text alone, so the messages that the gateway makes of it are replaced as they leave.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from babyai_kit.configuration.provider_types import PROVIDERS

COLOUR = "orange"
"""Of the picture: none that a model names which sees nothing."""
SIZE = 64
"""Pixels of a side; some servers refuse smaller ones than 28."""

WORDS = "Which colour fills this picture? Answer with the name of the colour alone, in one word."


def image_question(provider_type: str) -> tuple[Mapping[str, Any], ...]:
    """The `extra_body` that makes any question to a provider of this type one about a picture."""
    known = PROVIDERS.get(provider_type)
    api, data = known.api if known else "openai", _png()
    if api == "gemini":
        parts = [{"inlineData": {"mimeType": "image/png", "data": data}}, {"text": WORDS}]
        contents = [{"role": "user", "parts": parts}]
        return {"pointer": "/contents", "value": contents}, {"pointer": "/systemInstruction", "delete": True}
    content: list[dict[str, Any]]
    if api == "anthropic":
        source = {"type": "base64", "media_type": "image/png", "data": data}
        content = [{"type": "image", "source": source}, {"type": "text", "text": WORDS}]
    elif api == "bedrock":
        content = [{"image": {"format": "png", "source": {"bytes": data}}}, {"text": WORDS}]
    else:
        url = f"data:image/png;base64,{data}"
        content = [{"type": "text", "text": WORDS}, {"type": "image_url", "image_url": {"url": url}}]
    messages = {"pointer": "/messages", "value": [{"role": "user", "content": content}]}
    # Of OpenAI's form, the system prompt was among the messages.
    return (messages,) if api == "openai" else (messages, {"pointer": "/system", "delete": True})


def sees(answer: str | None) -> bool:
    """True if the answer to the question is right."""
    return COLOUR in (answer or "").lower()


def _png() -> str:
    file = io.BytesIO()
    Image.new("RGB", (SIZE, SIZE), COLOUR).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
