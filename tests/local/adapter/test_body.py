"""Bodies of answers as servers send them: packed, in other encodings, as events."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from babyai_kit.errors import ModelError
from babyai_kit.local.adapter.body import decoded, parsed, unpacked

ANSWER = {"choices": [{"message": {"content": "é"}, "finish_reason": "stop"}]}
TEXT = json.dumps(ANSWER, ensure_ascii=False)


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("packed", "encoding"),
    [
        (TEXT.encode(), ""),
        (TEXT.encode(), "identity"),
        (gzip.compress(TEXT.encode()), "gzip"),
        (gzip.compress(TEXT.encode()), " X-GZIP"),
        (zlib.compress(TEXT.encode()), "deflate"),
        (raw_deflate(TEXT.encode()), "deflate"),
        (TEXT.encode(), "gzip"),
    ],
)
def test_packed(packed: bytes, encoding: str) -> None:
    assert unpacked(packed, encoding, 10_000).decode() == TEXT
    assert len(unpacked(gzip.compress(b"x" * 10**6), "gzip", 1000)) == 1000


@pytest.mark.parametrize(("body", "encoding"), [(b"x", "br"), (b"x", "zstd"), (b"not packed", "gzip")])
def test_packed_in_a_way_that_cannot_be_read(body: bytes, encoding: str) -> None:
    with pytest.raises(ModelError, match=f"packed as {encoding}"):
        unpacked(body, encoding, 1000)


@pytest.mark.parametrize(
    ("body", "charset"),
    [
        (TEXT.encode(), None),
        (TEXT.encode(), "utf-8"),
        (TEXT.encode(), "latin-1"),
        (TEXT.encode("utf-8-sig"), None),
        (TEXT.encode("utf-16"), None),
        (TEXT.encode("utf-32-be"), None),
        (TEXT.encode("latin-1"), "iso-8859-1"),
        (b" \n" * 1000 + TEXT.encode(), "no-such-charset"),
    ],
)
def test_encodings(body: bytes, charset: str | None) -> None:
    assert parsed(decoded(body, charset), whole=True) == ANSWER


@pytest.mark.parametrize("charset", [None, "utf-8", "no-such-charset"])
def test_what_is_no_text_is_replaced(charset: str | None) -> None:
    assert decoded(b'{"a": "\xe2\x82"}', charset).startswith('{"a": "\ufffd')


def events(*data: Any) -> str:
    return "".join(f"data: {d if isinstance(d, str) else json.dumps(d)}\n\n" for d in data)


def chunk(content: str | None = None, finish_reason: str | None = None) -> dict[str, Any]:
    return {"model": "m", "choices": [{"delta": {"content": content}, "finish_reason": finish_reason}]}


def test_a_stream_that_nobody_asked_for_is_joined() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 5}}
    text = ": waiting\n\nevent: message\n" + events(
        chunk("a"), chunk(" b"), chunk(None, "stop"), usage, "[DONE]"
    )
    assert parsed(text, whole=True) == {
        "model": "m",
        "usage": {"prompt_tokens": 5},
        "choices": [{"message": {"content": "a b"}, "finish_reason": "stop"}],
    }
    assert parsed(events(ANSWER), whole=True) == ANSWER
    error = {"error": {"message": "gone"}}
    assert parsed(events(chunk("a"), error), whole=True) == error


def test_a_stream_that_breaks_off_is_no_answer() -> None:
    assert parsed(events(chunk("a")), whole=True) is None
    assert parsed(events(chunk("a")), whole=False)["choices"][0]["message"]["content"] == "a"
    assert parsed("data: hello", whole=True) is None


@pytest.mark.parametrize("text", ["", "<html>", '{"a": ', "[" * 9999, "Ollama is running"])
def test_no_json(text: str) -> None:
    assert parsed(text, whole=True) is None


def test_half_a_surrogate_pair_and_numbers_beyond_json() -> None:
    assert parsed('{"a": "\\ud83d", "b": NaN}', whole=True)["a"] == "\ud83d"
    assert parsed('{"a": [Infinity]}', whole=True) == {"a": [float("inf")]}
