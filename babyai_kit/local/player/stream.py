"""A streamed answer: OpenAI's chunks, written as the answer grows."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from babyai_kit.local.player.completion import (
    Completion,
    ModelAnswer,
    ResponseWriter,
    complete,
    complete_so_far,
)
from babyai_kit.local.player.logprobs import Pieces
from babyai_kit.local.player.protocol import ProtocolError, server_failure

Chunk = dict[str, Any]


class ChunkWriter:
    """The chunks of one answer: role, text, end, usage."""

    def __init__(self, writer: ResponseWriter) -> None:
        self._writer = writer
        self._head = writer.head("chat.completion.chunk")
        options = writer.request.body.get("stream_options")
        self._tells_usage = writer.usage and isinstance(options, dict) and bool(options.get("include_usage"))
        if self._tells_usage:
            self._head["usage"] = None
        self._pieces, self._sent, self._begun = Pieces(), 0, False

    def go_on(self, completion: Completion) -> Iterator[Chunk]:
        """What the beginning of an answer has beyond the last one."""
        yield from self._begin()
        text = completion.text or ""
        if completion.logprobs is not None:
            yield from self._scored(self._pieces.add(completion.logprobs, text))
        elif text[self._sent :]:
            yield self._chunk({"content": text[self._sent :]})
            self._sent = len(text)

    def end(self, completion: Completion) -> Iterator[Chunk]:
        """The rest: text by words, or by tokens with log probabilities; a tool call in one; end and usage."""
        text = completion.text or ""
        if self._writer.request.tools:
            message = self._writer.message(text, completion.tool)
            for call in message.get("tool_calls", ()):
                call["index"] = 0
            yield self._chunk(message)
        else:
            yield from self._begin()
            if completion.logprobs is not None:
                yield from self._scored(self._pieces.finish(completion.logprobs, text))
            else:
                for word in re.findall(r"\S+\s*|\s+", text[self._sent :]):
                    yield self._chunk({"content": word})
        yield self._chunk({}, finish_reason=completion.finish_reason)
        if self._tells_usage:
            yield {**self._head, "choices": [], "usage": completion.usage}

    def _begin(self) -> Iterator[Chunk]:
        if not self._begun:
            self._begun = True
            yield self._chunk(self._writer.message(""))

    def _scored(self, pieces: Iterable[tuple[str, Any]]) -> Iterator[Chunk]:
        for piece, tokens in pieces:
            yield self._chunk({"content": piece}, logprobs=self._writer.logprobs(tokens))

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> Chunk:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, **more}
        return {**self._head, "choices": [choice]}


async def chunks_of(
    answer: Completion | AsyncGenerator[ModelAnswer, None], writer: ResponseWriter
) -> AsyncGenerator[list[Chunk], None]:
    """The chunks of an answer: all of a finished one, or as much as can be sent whenever it has grown."""
    chunks = ChunkWriter(writer)
    if isinstance(answer, Completion):
        yield list(chunks.end(answer))
        return
    async with aclosing(answer):
        async for one in answer:
            if one.growing:
                yield list(chunks.go_on(complete_so_far(one, writer.request)))
            else:
                yield list(chunks.end(complete(one, writer.request)))


async def write_stream(http: web.Request, chunks: AsyncGenerator[list[Chunk], None]) -> web.StreamResponse:
    """Write a stream, and close `chunks` with it, also if the client leaves.

    A refusal before the first chunk is raised, as for an answer that is not streamed; a later failure is told
    within the stream, which then ends without [DONE].
    """
    response = web.StreamResponse(headers={"Cache-Control": "no-cache"})
    response.content_type = "text/event-stream"

    async def write(bodies: Iterable[Chunk]) -> None:
        if data := "".join(f"data: {json.dumps(body)}\n\n" for body in bodies):
            await response.write(data.encode())

    async with aclosing(chunks):
        first = await anext(chunks)
        await response.prepare(http)
        await write(first)
        try:
            async for more in chunks:
                await write(more)
        except ConnectionError:  # the client has gone
            raise
        except Exception as error:
            failure = error if isinstance(error, ProtocolError) else server_failure(http, error)
            await write([failure.body()])
        else:
            await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response
