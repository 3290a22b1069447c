"""A model as a GGUF file, which llama.cpp, Ollama and LM Studio load."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Literal, get_args

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFValueType, LlamaFileType

from babyai_kit.atomic_files import atomic_part
from babyai_kit.errors import ConfigError
from babyai_kit.local.language_model.base_file import CARD
from babyai_kit.local.language_model.gguf_file import GgufFile, gguf_names, rotated_heads, to_pairs
from babyai_kit.local.language_model.shape import LlamaShape

NumberFormat = Literal["q8_0", "f16"]
NUMBER_FORMATS: tuple[NumberFormat, ...] = get_args(NumberFormat)
_FILE_TYPES = {"q8_0": LlamaFileType.MOSTLY_Q8_0, "f16": LlamaFileType.MOSTLY_F16}


def export_gguf(
    tensors: Mapping[str, torch.Tensor],
    shape: LlamaShape,
    base: GgufFile,
    path: Path,
    *,
    name: str,
    number_format: NumberFormat = "q8_0",
) -> Path:
    """Write the model with all its `tensors` to `path`, with tokenizer, chat template and licence of `base`.

    name: as llama.cpp and LM Studio show it. number_format: of the matrices: 8 bits and a scale per 32
    numbers where these divide a row, or float16; vectors are float32. Raises ConfigError if the tokenizer is
    not the model's, and FileWriteError; the file at `path` is then as it was.
    """
    if shape.vocabulary != len(base.tokenizer.tokens):
        raise ConfigError(
            f"the model has {shape.vocabulary} tokens and the tokenizer of {base.path.name} "
            f"{len(base.tokenizer.tokens)}; export a model that was fine-tuned from it"
        )
    with atomic_part(path) as part, closing(gguf.GGUFWriter(part, "llama")) as writer:
        for key, (value, kind, item_kind) in _metadata(shape, base, name, number_format).items():
            writer.add_key_value(key, value, kind, sub_type=item_kind)
        names = gguf_names(shape)
        for tensor_name, tensor in tensors.items():
            values = tensor.detach().to("cpu", torch.float32).numpy()
            if heads := rotated_heads(tensor_name, shape):
                values = to_pairs(values, heads)
            data, kind = _numbers(np.ascontiguousarray(values), number_format)
            writer.add_tensor(names[tensor_name], data, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    return path


def _numbers(values: np.ndarray, number_format: NumberFormat) -> tuple[np.ndarray, GGMLQuantizationType]:
    if values.ndim == 1:
        return values, GGMLQuantizationType.F32
    eight_bits = GGMLQuantizationType.Q8_0
    block, _ = gguf.GGML_QUANT_SIZES[eight_bits]
    if number_format == "q8_0" and values.shape[-1] % block == 0:  # a row is a whole number of blocks
        return gguf.quantize(values, eight_bits), eight_bits
    return values.astype(np.float16), GGMLQuantizationType.F16


def _metadata(
    shape: LlamaShape, base: GgufFile, name: str, number_format: NumberFormat
) -> dict[str, tuple[object, GGUFValueType, GGUFValueType | None]]:
    """Value, type and type of its items by key: what `base` says, but for what makes this another model."""
    own = {
        "general.name": name,
        "general.file_type": int(_FILE_TYPES[number_format]),
        "llama.vocab_size": shape.vocabulary,
        "llama.embedding_length": shape.width,
        "llama.block_count": shape.layers,
        "llama.attention.head_count": shape.heads,
        "llama.attention.head_count_kv": shape.kv_heads,
        "llama.feed_forward_length": shape.hidden,
        "llama.rope.dimension_count": shape.head_width,
        "llama.rope.freq_base": shape.rope_theta,
        "llama.attention.layer_norm_rms_epsilon": shape.norm_eps,
        "llama.context_length": shape.context,
    }
    fields = {}
    for key, field in base.reader.fields.items():
        # Its name for how the base was trained, and what the writer says by itself.
        if key.startswith("GGUF.") or key in ("general.architecture", "general.finetune"):
            continue
        item_kind = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        fields[key] = (own.get(key, field.contents()), field.types[0], item_kind)
    text, number = GGUFValueType.STRING, GGUFValueType.UINT32
    organization, _, base_name = CARD.partition("/")
    return fields | {
        "general.base_model.count": (1, number, None),
        "general.base_model.0.name": (base_name, text, None),
        "general.base_model.0.organization": (organization, text, None),
        "general.base_model.0.repo_url": (f"https://huggingface.co/{CARD}", text, None),
    }
