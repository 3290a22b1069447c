"""A call's input in the gateway's form, and what it gives back of stored inferences.

Knows nothing of a connection: values in, values out.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from babyai_kit.agents.interface import Turn
from babyai_kit.gateway.protocol import ChatMessage, Question, StoredInference


def question_input(question: Question) -> Any:
    """The gateway's `input` for a call."""
    if question.messages is None:
        return template_input(question.arguments, question.earlier)
    return chat_input(question.messages)


def template_input(arguments: Mapping[str, Any], earlier: Sequence[Turn] = ()) -> Any:
    """The gateway's `input` for a call with the arguments of the user template, after `earlier` turns."""
    messages = []
    for turn in earlier:
        messages.append(_template_message(turn.arguments))
        messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.answer}]})
    return {"messages": [*messages, _template_message(arguments)]}


def _template_message(arguments: Mapping[str, Any]) -> dict[str, Any]:
    content = [{"type": "template", "name": "user", "arguments": dict(arguments)}]
    return {"role": "user", "content": content}


def chat_input(messages: Sequence[ChatMessage]) -> Any:
    """The gateway's `input` for a call with messages."""
    spoken = [message for message in messages if message.role != "system"]
    system = "\n\n".join(message.text for message in messages if message.role == "system")
    content = {"messages": [{"role": m.role, "content": _blocks(m)} for m in spoken]}
    return content | ({"system": system} if system else {})


def _blocks(message: ChatMessage) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": message.text}]
    for image in message.images:
        data = base64.b64encode(image).decode()
        blocks.append({"type": "file", "file_type": "base64", "mime_type": "image/png", "data": data})
    return blocks


def text_of(content: Any) -> str | None:
    """The text of a chat's answer; None if there is none."""
    texts = [block.text for block in content if getattr(block, "type", "") == "text" and block.text]
    return "\n".join(texts) or None


def _messages(stored_input: Any) -> tuple[tuple[str, str], ...]:
    """The messages of a stored chat as role and text; a picture is a line that says so."""
    system = stored_input.system
    messages = [("system", system)] if isinstance(system, str) else []
    for message in stored_input.messages:
        texts = [getattr(block, "text", None) or "[a picture]" for block in message.content]
        messages.append((message.role, "\n".join(texts)))
    return tuple(messages)


def _template_turns(stored_input: Any) -> tuple[Mapping[str, Any], tuple[Turn, ...]]:
    """The arguments of the last message's template, and the turns before it; empty for an input of another
    form."""
    try:
        *earlier, last = stored_input.messages
        asked, answered = earlier[::2], earlier[1::2]
        turns = zip(
            (m.content[0].arguments for m in asked), (m.content[0].text for m in answered), strict=True
        )
        return last.content[0].arguments, tuple(itertools.starmap(Turn, turns))
    except (LookupError, AttributeError, ValueError):
        return {}, ()


def stored_step(inference: Any) -> StoredInference:
    """An inference of the function `act`, as the gateway lists it."""
    arguments, earlier = _template_turns(inference.input)
    return StoredInference(
        inference_id=str(inference.inference_id),
        episode_id=str(inference.episode_id),
        tags=inference.tags,
        arguments=arguments,
        raw=inference.output.raw,
        parsed=inference.output.parsed,
        earlier=earlier,
    )


def stored_chat(inference: Any) -> StoredInference:
    """One of the function `chat`."""
    return StoredInference(
        inference_id=str(inference.inference_id),
        episode_id=str(inference.episode_id),
        tags=inference.tags,
        arguments={},
        raw=text_of(inference.output),
        parsed=None,
        messages=_messages(inference.input),
    )
