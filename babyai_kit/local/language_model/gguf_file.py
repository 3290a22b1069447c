"""Llamas in GGUF, the format of llama.cpp: its names of tensors and metadata, and its order of rows.

llama.cpp rotates neighbouring elements of a head where Hugging Face rotates its two halves, so that the rows
of the query and key projections are in another order in a GGUF file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from babyai_kit.errors import ConfigError
from babyai_kit.local.language_model.base_file import REINSTALL
from babyai_kit.local.language_model.shape import LlamaShape


@dataclass(frozen=True)
class TokenizerParts:
    """What a byte-level BPE tokenizer is made of."""

    tokens: tuple[str, ...]
    """By id, in GPT-2's alphabet of printable characters for bytes."""
    token_types: tuple[int, ...]
    """By id, as `gguf.TokenType`: NORMAL, CONTROL, ..."""
    merges: tuple[str, ...]
    """The two parts with a space between them, most frequent first."""
    pretokenizer: str
    """llama.cpp's name for how text is split before merging."""
    bos_id: int
    eos_id: int
    """Ends an answer."""
    unknown_id: int | None
    padding_id: int | None
    adds_bos: bool
    chat_template: str
    """Jinja."""


class GgufFile:
    """A Llama in the GGUF file `path`. Raises ConfigError if that is something else or damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.reader = _Reader(path)
            self.shape, self.tokenizer = self._read_shape(), self._read_tokenizer()
        except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path} cannot be read as a Llama in GGUF ({' '.join(str(error).split())}); to install the "
                f"weights again, run: {REINSTALL}"
            ) from None

    def value(self, key: str, default: Any = None) -> Any:
        """Of the metadata."""
        field = self.reader.fields.get(key)
        return default if field is None else field.contents()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the whole file, in hexadecimal."""
        return hashlib.sha256(self.reader.data.data).hexdigest()

    def tensors(self) -> dict[str, torch.Tensor]:
        """A new float32 copy of every tensor, by Hugging Face's name and in its order of rows."""
        stored = {tensor.name: tensor for tensor in self.reader.tensors}
        names = gguf_names(self.shape)
        weights = {}
        for name, shape in self.shape.tensors():
            tensor = stored.get(names[name])
            if tensor is None or tuple(reversed(tensor.shape.tolist())) != shape:
                raise ConfigError(
                    f"{self.path} has no tensor {names[name]} of shape {shape}; to install the weights "
                    f"again, run: {REINSTALL}"
                )
            values = gguf.dequantize(tensor.data, tensor.tensor_type)
            if heads := rotated_heads(name, self.shape):
                values = to_halves(values, heads)
            weights[name] = torch.from_numpy(np.require(values, np.float32, ("C", "W")))
        return weights

    def _read_shape(self) -> LlamaShape:
        if (architecture := self.value("general.architecture")) != "llama":
            raise ValueError(f"its architecture is {architecture}")
        names = {tensor.name for tensor in self.reader.tensors}
        if {"output.weight", "rope_freqs.weight"} & names:
            raise ValueError("its output layer is not tied, or its rotary encoding is scaled")
        number = {
            key: self.reader.fields[f"llama.{key}"].contents()
            for key in (
                "vocab_size",
                "embedding_length",
                "block_count",
                "attention.head_count",
                "attention.head_count_kv",
                "feed_forward_length",
                "rope.freq_base",
                "attention.layer_norm_rms_epsilon",
                "context_length",
            )
        }
        return LlamaShape(
            vocabulary=number["vocab_size"],
            width=number["embedding_length"],
            layers=number["block_count"],
            heads=number["attention.head_count"],
            kv_heads=number["attention.head_count_kv"],
            hidden=number["feed_forward_length"],
            rope_theta=_decimal(number["rope.freq_base"]),
            norm_eps=_decimal(number["attention.layer_norm_rms_epsilon"]),
            context=number["context_length"],
        )

    def _read_tokenizer(self) -> TokenizerParts:
        if (model := self.value("tokenizer.ggml.model")) != "gpt2":
            raise ValueError(f"its tokenizer is of type {model}")
        return TokenizerParts(
            tokens=tuple(self.value("tokenizer.ggml.tokens")),
            token_types=tuple(self.value("tokenizer.ggml.token_type")),
            merges=tuple(self.value("tokenizer.ggml.merges")),
            pretokenizer=self.value("tokenizer.ggml.pre", "default"),
            bos_id=self.value("tokenizer.ggml.bos_token_id"),
            eos_id=self.value("tokenizer.ggml.eos_token_id"),
            unknown_id=self.value("tokenizer.ggml.unknown_token_id"),
            padding_id=self.value("tokenizer.ggml.padding_token_id"),
            adds_bos=self.value("tokenizer.ggml.add_bos_token", False),
            chat_template=self.value("tokenizer.chat_template", ""),
        )


def gguf_names(shape: LlamaShape) -> dict[str, str]:
    """From Hugging Face's name of every tensor to GGUF's."""
    mapping = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shape.layers)
    return {name: str(mapping.get_name(name, (".weight",))) for name, _ in shape.tensors()}


def rotated_heads(name: str, shape: LlamaShape) -> int:
    """Heads of the tensor `name` if its rows are in another order in GGUF, otherwise 0."""
    if name.endswith("q_proj.weight"):
        return shape.heads
    return shape.kv_heads if name.endswith("k_proj.weight") else 0


def to_halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """GGUF's order of rows (pairs beside each other) to Hugging Face's (one half after the other)."""
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def to_pairs(rows: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of `to_halves`."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


class _Reader(gguf.GGUFReader):
    """GGUFReader, which takes 1.5 s for the arrays of a vocabulary one by one, with those read in 0.1 s."""

    def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[Any]]:
        if raw_type != gguf.GGUFValueType.ARRAY:
            return super()._get_field_parts(orig_offs, raw_type)
        kind = gguf.GGUFValueType(int(self._get(orig_offs, np.uint32)[0]))
        count = int(self._get(orig_offs + 4, np.uint64)[0])
        start = offset = orig_offs + 12
        parts: list[Any] = []
        if kind == gguf.GGUFValueType.STRING:
            view = self.data.data
            for _ in range(count):
                start = offset + 8
                offset = start + int.from_bytes(view[offset:start], "little")
                if offset > len(view):
                    raise ValueError("it ends in the middle of an array")
                parts.append(view[start:offset])
        else:
            parts.append(self._get(start, self.gguf_scalar_to_np[kind], count))
            offset = start + parts[0].nbytes
        return offset - orig_offs, parts, list(range(len(parts))), [gguf.GGUFValueType.ARRAY, kind]


def _decimal(value: float) -> float:
    """The number that was written, without the digits that float32 added to it."""
    return float(str(np.float32(value)))
