"""The pretrained weights as PyTorch needs them, and fine-tuned ones on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.local.language_model import NO_LLM

for name in ("torch", "gguf", "safetensors"):
    pytest.importorskip(name, reason=NO_LLM)

import gguf
import numpy as np
import torch

from babyai_kit.errors import ConfigError
from babyai_kit.local.language_model import weights
from babyai_kit.local.language_model.gguf_file import GgufFile, to_halves, to_pairs
from babyai_kit.local.language_model.shape import TIED_HEAD, LlamaShape
from babyai_kit.local.language_model.weights import WEIGHTS_FILE, Weights

SHAPE = LlamaShape(vocabulary=32, width=16, layers=2, heads=4, kv_heads=2, hidden=24)
Q = "model.layers.3.self_attn.q_proj.weight"


def tensors_of(shape: LlamaShape, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(size, generator=generator).to(dtype) for name, size in shape.tensors()}


def test_the_shape_is_that_of_the_model_card(base: GgufFile):
    assert base.shape == LlamaShape(
        vocabulary=49152,
        width=576,
        layers=30,
        heads=9,
        kv_heads=3,
        hidden=1536,
        rope_theta=100_000.0,
        norm_eps=1e-5,
        context=8192,
    )


def test_every_tensor_is_read(base: GgufFile, base_tensors: dict[str, torch.Tensor]):
    assert {name: tuple(tensor.shape) for name, tensor in base_tensors.items()} == dict(base.shape.tensors())
    assert {tensor.dtype for tensor in base_tensors.values()} == {torch.float32}
    assert sum(tensor.numel() for tensor in base_tensors.values()) == 134_515_008
    stored = {tensor.name: tensor for tensor in base.reader.tensors}["blk.7.ffn_down.weight"]
    values = gguf.dequantize(stored.data, stored.tensor_type)
    assert torch.equal(base_tensors["model.layers.7.mlp.down_proj.weight"], torch.from_numpy(values))


def test_the_tokenizer_is_read(base: GgufFile):
    parts = base.tokenizer
    assert len(parts.tokens) == len(parts.token_types) == base.shape.vocabulary
    assert parts.tokens[:3] == ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    assert len(parts.merges) == 48_900
    assert parts.merges[:2] == ("Ġ t", "Ġ a")
    assert (parts.bos_id, parts.eos_id, parts.adds_bos) == (1, 2, False)
    assert parts.pretokenizer == "smollm"
    assert "<|im_start|>assistant" in parts.chat_template


def test_the_metadata_are_those_that_the_library_reads(base: GgufFile):
    reader = gguf.GGUFReader(base.path)  # its own, not the kit's faster one
    assert {key: field.contents() for key, field in reader.fields.items()} == {
        key: base.value(key) for key in base.reader.fields
    }


def test_rows_of_a_head_go_from_pairs_to_halves_and_back():
    pairs = np.array([["a0"], ["b0"], ["a1"], ["b1"], ["c0"], ["d0"], ["c1"], ["d1"]])
    halves = np.array([["a0"], ["a1"], ["b0"], ["b1"], ["c0"], ["c1"], ["d0"], ["d1"]])
    assert (to_halves(pairs, heads=2) == halves).all()
    assert (to_pairs(halves, heads=2) == pairs).all()


@pytest.mark.parametrize("size", [0, 3, 5_000, 3_000_000, 50_000_000])
def test_a_truncated_file_is_refused(base: GgufFile, tmp_path: Path, size: int):
    path = tmp_path / "short.gguf"
    with base.path.open("rb") as file:
        path.write_bytes(file.read(size))
    with pytest.raises(ConfigError, match=r"short\.gguf cannot be read as a Llama in GGUF \(.*==0\.1\.2$"):
        GgufFile(path)


def test_a_model_of_another_architecture_is_refused(tmp_path: Path):
    writer = gguf.GGUFWriter(tmp_path / "other.gguf", "qwen2")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with pytest.raises(ConfigError, match="its architecture is qwen2"):
        GgufFile(tmp_path / "other.gguf")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_without_a_base_are_kept_whole_and_as_they_are(tmp_path: Path, dtype: torch.dtype):
    tensors = tensors_of(SHAPE, dtype)
    saved = weights.save(Weights(SHAPE, tensors), tmp_path / "model")
    assert [path.name for path in saved.parent.iterdir()] == [WEIGHTS_FILE]
    loaded = weights.load(tmp_path / "model")
    assert (loaded.shape, loaded.base) == (SHAPE, "")
    assert loaded.tensors.keys() == tensors.keys()
    assert all(torch.equal(loaded.tensors[name], tensors[name]) for name in tensors)
    assert all(loaded.tensors[name].dtype == dtype for name in tensors)


def test_the_tied_output_layer_is_not_stored(tmp_path: Path):
    tensors = tensors_of(SHAPE)
    weights.save(Weights(SHAPE, tensors | {TIED_HEAD: tensors["model.embed_tokens.weight"]}), tmp_path)
    assert weights.load(tmp_path).tensors.keys() == tensors.keys()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_what_differs_from_the_base_is_stored(
    base: GgufFile, base_tensors: dict[str, torch.Tensor], tmp_path: Path, dtype: torch.dtype
):
    some = [name for name in base_tensors if ".layers.3." in name]
    tuned = {name: base_tensors[name].to(dtype) for name in some}
    tuned[Q] = tuned[Q] + 1
    difference = Weights(base.shape, tuned).without_unchanged(base, base_tensors)
    path = weights.save(difference, tmp_path)
    assert path.stat().st_size < 576 * 576 * dtype.itemsize + 2_000
    loaded = weights.load(tmp_path)
    assert list(loaded.tensors) == [Q]
    complete = loaded.complete(base, base_tensors)
    assert complete.keys() == base_tensors.keys()
    assert torch.equal(complete[Q], tuned[Q])


def test_weights_of_another_base_are_refused(base: GgufFile, base_tensors: dict[str, torch.Tensor]):
    other = Weights(base.shape, {Q: base_tensors[Q]}, base="0" * 64)
    with pytest.raises(ConfigError, match=r"another base \(000000000000\) than the installed SmolLM2"):
        other.complete(base, base_tensors)


def test_weights_that_are_not_of_their_shape_are_refused(
    base: GgufFile, base_tensors: dict[str, torch.Tensor]
):
    for tensors in ({Q: torch.zeros(3)}, {"model.layers.3.adapter.weight": base_tensors[Q]}):
        with pytest.raises(ConfigError, match="not those of a Llama of their shape; fine-tune again"):
            Weights(base.shape, tensors, base.digest).complete(base, base_tensors)
    with pytest.raises(ConfigError, match="not those of a Llama"):
        Weights(base.shape, {Q: base_tensors[Q]}).complete(base, base_tensors)


def test_weights_that_cannot_be_read_are_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"cannot read \S+ \(.*\); fine-tune the model again$"):
        weights.load(tmp_path)
    path = weights.save(Weights(SHAPE, tensors_of(SHAPE)), tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"cannot read \S+ \(.*\); fine-tune the model again$"):
        weights.load(tmp_path)
