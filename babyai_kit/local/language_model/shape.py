"""The shape of a Llama with a tied output layer, and the names of its tensors as Hugging Face writes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

EMBEDDING, FINAL_NORM = "model.embed_tokens.weight", "model.norm.weight"
TIED_HEAD = "lm_head.weight"
"""The embedding under a second name; it is never stored."""


@dataclass(frozen=True)
class LlamaShape:
    """All that determines the tensors' shapes and how they are computed with."""

    vocabulary: int
    """Tokens."""
    width: int
    """Of the residual stream."""
    layers: int
    heads: int
    """Of the queries; `width` is a multiple."""
    kv_heads: int
    """Of keys and values; `heads` is a multiple."""
    hidden: int
    """Width of the feed-forward layers."""
    rope_theta: float = 10_000.0
    """Base of the rotary position encoding, in its form of two halves."""
    norm_eps: float = 1e-5
    context: int = 2048
    """Tokens that the model was trained on at once."""

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def queries_per_key(self) -> int:
        """Heads of queries that share a head of keys and values."""
        return self.heads // self.kv_heads

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every tensor, without the tied output layer."""
        keys = self.kv_heads * self.head_width
        layer = {
            "input_layernorm": (self.width,),
            "self_attn.q_proj": (self.width, self.width),
            "self_attn.k_proj": (keys, self.width),
            "self_attn.v_proj": (keys, self.width),
            "self_attn.o_proj": (self.width, self.width),
            "post_attention_layernorm": (self.width,),
            "mlp.gate_proj": (self.hidden, self.width),
            "mlp.up_proj": (self.hidden, self.width),
            "mlp.down_proj": (self.width, self.hidden),
        }
        yield EMBEDDING, (self.vocabulary, self.width)
        for index in range(self.layers):
            for name, shape in layer.items():
                yield f"model.layers.{index}.{name}.weight", shape
        yield FINAL_NORM, (self.width,)
