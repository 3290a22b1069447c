"""What a call of an agent asks for, as a digest: by it, an agent that is given its recorded answers again is
seen to ask the same."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from babyai_kit.agents.interface import Picture, Turn


def request_digest(
    variant: str,
    *,
    arguments: Mapping[str, Any],
    words: Sequence[tuple[str, str]],
    images: Sequence[bytes],
    temperature: float | None,
    max_tokens: int | None,
    earlier: Sequence[Turn] = (),
) -> str:
    """12 hex digits over what is asked for: words (role and text of each message), pictures (PNG files),
    variant and settings of the call."""
    pictures = [hashlib.sha256(image).hexdigest() for image in images]
    asked: list[Any] = [variant, dict(arguments), list(words), pictures, temperature, max_tokens]
    if earlier:  # else as in runs from before there were dialogues
        asked.append([(dict(turn.arguments), turn.answer) for turn in earlier])
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:12]


def png(picture: Picture) -> bytes:
    """A picture as it is sent: the same file each time."""
    return _png(picture.tobytes(), picture.shape, picture.dtype.str)


@lru_cache(maxsize=64)
def _png(pixels: bytes, shape: tuple[int, ...], kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.frombuffer(pixels, kind).reshape(shape)).save(file, format="PNG")
    return file.getvalue()
