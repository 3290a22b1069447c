"""/v1/embeddings as the openai package meets it, by an embedder of hashed words."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openai
import pytest

from babyai_kit.configuration.models import OFFLINE_MODEL
from babyai_kit.local.player import OfflinePlayer
from babyai_kit.local.player.lazy_trainer import LazyTrainer
from babyai_kit.local.player.trainer import Embedder, Embeddings, Player, Trainer, TrainingJob, TrainingLog
from babyai_kit.tokens import count_text

LENGTH = 64


class WordTrainer(Trainer):
    """Counts words by their hashes: texts with more words in common are nearer to each other."""

    models = ("words",)
    owner = fingerprint = "words"
    resumable = False

    def player(self, model: str, folder: Path | None) -> Player:
        return lambda request: "words"

    def embedder(self, model: str, folder: Path | None) -> Embedder:
        async def embed(texts: Sequence[str]) -> Embeddings:
            return Embeddings([_vector(text) for text in texts], tokens=sum(map(count_text, texts)))

        return embed

    async def train(self, job: TrainingJob, log: TrainingLog) -> None:
        raise NotImplementedError


def _vector(text: str) -> list[float]:
    counts = [0.0] * LENGTH
    for word in text.lower().split():
        counts[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest(), "big") % LENGTH] += 1
    norm = math.hypot(*counts) or 1.0
    return [count / norm for count in counts]


def trainers(lazy: bool) -> list[Trainer]:
    words = WordTrainer()
    if not lazy:
        return [words]
    return [LazyTrainer(lambda: words, models=words.models, owner="w", fingerprint="w", embeds=True)]


def client_of(player: OfflinePlayer) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=player.base_url, api_key="k", max_retries=0)


@pytest.mark.parametrize("lazy", [False, True])
async def test_vectors_in_the_order_of_the_texts(lazy: bool) -> None:
    texts = ["go to the red ball", "go to the red key", "open a door"]
    async with OfflinePlayer(trainers=trainers(lazy)) as player, client_of(player) as client:
        answer = await client.embeddings.create(model="words", input=texts, encoding_format="float")
        (single,) = (await client.embeddings.create(model="words", input=texts[2])).data
    assert [row.index for row in answer.data] == [0, 1, 2]
    assert answer.model == "words"
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(map(count_text, texts))
    ball, key, door = (row.embedding for row in answer.data)
    assert ball == pytest.approx(_vector(texts[0]))
    assert sum(a * b for a, b in zip(ball, key, strict=True)) > sum(
        a * b for a, b in zip(ball, door, strict=True)
    )
    assert single.embedding == pytest.approx(door, abs=1e-6)


async def test_base64_is_little_endian_floats() -> None:
    async with OfflinePlayer(trainers=trainers(False)) as player, client_of(player) as client:
        answer = await client.embeddings.with_raw_response.create(
            model="words", input="drop it", encoding_format="base64"
        )
    (row,) = answer.http_response.json()["data"]
    vector = struct.unpack(f"<{LENGTH}f", base64.b64decode(row["embedding"]))
    assert vector == pytest.approx(_vector("drop it"), abs=1e-6)


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"model": OFFLINE_MODEL}, "model"),
        ({"input": ""}, "input[0]"),
        ({"input": []}, "input"),
        ({"input": ["a", 3]}, "input[1]"),
        ({"input": [1, 2]}, "input[0]"),
        ({"input": ["a"] * 2049}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 8}, "dimensions"),
    ],
)
async def test_what_cannot_be_embedded_is_refused(wrong: dict[str, Any], param: str) -> None:
    fields = {"model": "words", "input": "a", "encoding_format": "float", **wrong}
    async with OfflinePlayer(trainers=trainers(False)) as player, client_of(player) as client:
        with pytest.raises(openai.BadRequestError) as raised:
            await client.embeddings.create(**fields)
        assert raised.value.param == param
        with pytest.raises(openai.NotFoundError):
            await client.embeddings.create(model="gpt-9", input="a")
