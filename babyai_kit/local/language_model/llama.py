"""The Llama architecture (Touvron et al. 2023, arXiv:2302.13971), as SmolLM2 has it, over packed tokens.

The tokens of all sequences of a batch stand one after the other in one row, without padding, and how they see
each other is the caller's: attention is a function that is given to `forward`. That is why the model is
written out here and not taken from `transformers`, with which it is tested to agree: sequences that share a
prefix, in a cache or as the branches of a tree, share its keys and values. Parameters have the names of
Hugging Face's Llama.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear, rms_norm, silu

from babyai_kit.local.language_model.shape import LlamaShape

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""(layer, queries, keys, values), each of shape (heads, tokens, head width), to the values attended to, of
shape (heads, tokens, head width). There may be fewer heads of keys and values than of queries."""


class Llama(nn.Module):
    """`forward` gives the hidden states; `logits` what they say of the next token."""

    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.shape = shape
        self.model = nn.ModuleDict(
            {
                "embed_tokens": nn.Embedding(shape.vocabulary, shape.width),
                "layers": nn.ModuleList(_Layer(shape) for _ in range(shape.layers)),
                "norm": _Norm(shape),
            }
        )

    @property
    def dtype(self) -> torch.dtype:
        return self.embedding.dtype

    @property
    def embedding(self) -> Tensor:
        """Of shape (vocabulary, width); also the head, which is tied to it."""
        return self.model["embed_tokens"].weight

    def forward(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Hidden states, of shape (tokens, width), of `tokens` at `positions`, both of shape (tokens,)."""
        width, device = self.shape.head_width, positions.device
        exponents = torch.arange(0, width, 2, dtype=torch.float32, device=device) / width
        angles = positions[:, None].float() * self.shape.rope_theta**-exponents
        turn = tuple(part.repeat(1, 2).to(self.dtype) for part in (angles.cos(), angles.sin()))
        hidden = embedding(tokens, self.embedding)
        for number, layer in enumerate(self.model["layers"]):
            hidden = layer(hidden, turn, number, attend)
        return self.model["norm"](hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Of shape (..., vocabulary), for `hidden` of shape (..., width)."""
        return linear(hidden, self.embedding)


class _Norm(nn.Module):
    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.weight, self._eps = nn.Parameter(torch.ones(shape.width)), shape.norm_eps

    def forward(self, hidden: Tensor) -> Tensor:
        return rms_norm(hidden, self.weight.shape, self.weight, self._eps)


class _Layer(nn.Module):
    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = _Norm(shape), _Norm(shape)
        self.self_attn, self.mlp = _Attention(shape), _FeedForward(shape)

    def forward(self, hidden: Tensor, turn: tuple[Tensor, ...], number: int, attend: Attend) -> Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), turn, number, attend)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class _Attention(nn.Module):
    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self._head_width, of_keys = shape.head_width, shape.kv_heads * shape.head_width
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, of_keys, bias=False)
        self.v_proj = nn.Linear(shape.width, of_keys, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, hidden: Tensor, turn: tuple[Tensor, ...], number: int, attend: Attend) -> Tensor:
        queries = _rotated(self._heads(self.q_proj(hidden)), turn)
        keys = _rotated(self._heads(self.k_proj(hidden)), turn)
        attended = attend(number, queries, keys, self._heads(self.v_proj(hidden)))
        return self.o_proj(attended.transpose(0, 1).reshape(hidden.shape))

    def _heads(self, vectors: Tensor) -> Tensor:
        return vectors.view(len(vectors), -1, self._head_width).transpose(0, 1)


class _FeedForward(nn.Module):
    def __init__(self, shape: LlamaShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.down_proj(silu(self.gate_proj(hidden)) * self.up_proj(hidden))


def _rotated(vectors: Tensor, turn: tuple[Tensor, ...]) -> Tensor:
    """Rotary position embedding (Su et al. 2021, arXiv:2104.09864); `turn`: cosines and sines."""
    cos, sin = turn
    first, second = vectors.chunk(2, dim=-1)
    return vectors * cos + torch.cat((-second, first), dim=-1) * sin
