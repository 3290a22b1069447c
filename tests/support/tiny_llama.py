"""A Llama of random weights, small enough for fast tests; its tokenizer is the pretrained model's."""

from __future__ import annotations

from pathlib import Path

import torch

from babyai_kit.local.language_model.gguf_export import export_gguf
from babyai_kit.local.language_model.gguf_file import GgufFile
from babyai_kit.local.language_model.llama import Llama
from babyai_kit.local.language_model.shape import EMBEDDING, LlamaShape

TINY = LlamaShape(vocabulary=49152, width=32, layers=2, heads=4, kv_heads=2, hidden=48, context=1024)


def random_tensors(seed: int = 0, shape: LlamaShape = TINY) -> dict[str, torch.Tensor]:
    """Of a size at which some tokens are clearly likelier than others."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, size in shape.tensors():
        scale = 0.5 if name == EMBEDDING else 1.5 * size[-1] ** -0.5
        tensors[name] = torch.randn(size, generator=generator) * scale if len(size) > 1 else torch.ones(size)
    return tensors


def random_llama(seed: int = 0, shape: LlamaShape = TINY) -> Llama:
    model = Llama(shape)
    model.load_state_dict(random_tensors(seed, shape))
    return model


def write_tiny(base: GgufFile, path: Path, seed: int = 0) -> GgufFile:
    """The file of a random model with the tokenizer of `base`."""
    export_gguf(random_tensors(seed), TINY, base, path, name="tiny", number_format="f16")
    return GgufFile(path)


def logits_of(model: Llama, tokens: list[int], *, last: int = 0) -> torch.Tensor:
    """After the `last` tokens (0: all), of shape (tokens, vocabulary): of the whole text at once."""

    def attend(_: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        attended = torch.nn.functional.scaled_dot_product_attention(
            queries[None], keys[None], values[None], is_causal=True, enable_gqa=True
        )
        return attended[0]

    return model.logits(model(torch.tensor(tokens), torch.arange(len(tokens)), attend)[-last:])
