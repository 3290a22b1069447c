"""transformers' Llama, with which the language model is compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import transformers

from babyai_kit.local.language_model.shape import EMBEDDING, TIED_HEAD, LlamaShape

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

END = 2
"""The token that ends a message."""


def reference_llama(shape: LlamaShape, tensors: Mapping[str, torch.Tensor]) -> LlamaForCausalLM:
    """With these very `tensors`, by Hugging Face's names."""
    config = transformers.LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        rms_norm_eps=shape.norm_eps,
        rope_parameters={"rope_theta": shape.rope_theta, "rope_type": "default"},
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=END,
        pad_token_id=END,
    )
    with torch.device("meta"):
        reference = transformers.LlamaForCausalLM(config)
    reference.load_state_dict({**tensors, TIED_HEAD: tensors[EMBEDDING]}, assign=True)
    # Built without numbers, and so were its rotary frequencies.
    reference.model.rotary_emb = type(reference.model.rotary_emb)(config)
    return reference.eval()
