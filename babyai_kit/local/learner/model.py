"""A decoder-only transformer, small enough to be read in one sitting.

Pre-norm blocks, learned positions, GELU, the output head tied to the token embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """The size of a model. `context`: tokens that a sequence can have, answer included."""

    vocabulary: int
    context: int = 128
    layers: int = 3
    heads: int = 4
    width: int = 128


class Cache:
    """Keys and values of what each row of a batch has read so far, for all layers."""

    def __init__(self, shape: Shape, rows: int, length: int, like: Tensor) -> None:
        size = (shape.layers, rows, shape.heads, length, shape.width // shape.heads)
        self.keys, self.values = like.new_zeros(size), like.new_zeros(size)


class Attention(nn.Module):
    """Causal self-attention of several heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.inward = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.outward = nn.Linear(shape.width, shape.width, bias=False)

    def forward(
        self, x: Tensor, cache: tuple[Tensor, Tensor] | None = None, positions: Tensor | None = None
    ) -> Tensor:
        """x: [rows, length, width]. Without positions the sequences start here; see `Transformer`."""
        rows, length, width = x.shape
        query, key, value = (
            part.view(rows, length, self.heads, -1).transpose(1, 2)
            for part in self.inward(x).chunk(3, dim=-1)
        )
        mask = None
        if cache is not None:
            keys, values = cache
            if positions is None:
                keys[:, :, :length], values[:, :, :length] = key, value
            else:
                row = torch.arange(rows, device=x.device)
                keys[row, :, positions], values[row, :, positions] = key[:, :, 0], value[:, :, 0]
                key, value = keys, values
                mask = (torch.arange(keys.shape[2], device=x.device) <= positions[:, None])[:, None, None]
        mixed = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=positions is None
        )
        return self.outward(mixed.transpose(1, 2).reshape(rows, length, width))


class Block(nn.Module):
    """Attention, then a perceptron of four times the width, each with a residual connection."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
        self.attention = Attention(shape)
        self.widen = nn.Linear(shape.width, 4 * shape.width)
        self.narrow = nn.Linear(4 * shape.width, shape.width)

    def forward(
        self, x: Tensor, cache: tuple[Tensor, Tensor] | None = None, positions: Tensor | None = None
    ) -> Tensor:
        x = x + self.attention(self.norm1(x), cache, positions)
        return x + self.narrow(functional.gelu(self.widen(self.norm2(x))))


class Transformer(nn.Module):
    """Next-token logits of token sequences."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.positions = nn.Embedding(shape.context, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.apply(self._initialise)
        for block in self.blocks:  # the residual path grows with depth, so each branch starts smaller
            for layer in (block.attention.outward, block.narrow):
                nn.init.normal_(layer.weight, std=0.02 / (2 * shape.layers) ** 0.5)

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def hidden(self, tokens: Tensor, cache: Cache | None = None, positions: Tensor | None = None) -> Tensor:
        """[rows, length] tokens to [rows, length, width], before the head.

        Without `positions` each row starts at position 0 (and fills `cache`, if given); shorter rows are
        padded on the right, where no earlier token sees it. With `positions` [rows] each row has one token,
        at that position, which sees what the cache holds before it.
        """
        place = (
            torch.arange(tokens.shape[1], device=tokens.device) if positions is None else positions[:, None]
        )
        x = self.tokens(tokens) + self.positions(place)
        for layer, block in enumerate(self.blocks):
            x = block(x, (cache.keys[layer], cache.values[layer]) if cache else None, positions)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """[..., width] to [..., vocabulary]."""
        return functional.linear(hidden, self.tokens.weight)
