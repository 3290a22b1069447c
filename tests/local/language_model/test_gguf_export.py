"""Exported models, as the kit reads them and as llama.cpp plays them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.language_model import NO_LLM, NO_LLM_TESTS

for name in ("torch", "gguf", "safetensors"):
    pytest.importorskip(name, reason=NO_LLM)

import gguf
import torch

from babyai_kit.errors import ConfigError, FileWriteError
from babyai_kit.local.language_model.gguf_export import NUMBER_FORMATS, NumberFormat, export_gguf
from babyai_kit.local.language_model.gguf_file import GgufFile
from babyai_kit.local.language_model.shape import LlamaShape
from babyai_kit.local.language_model.tokenizer import ChatTokenizer
from tests.local.language_model.test_weights import tensors_of
from tests.support.llama_cpp import LlamaCpp

TINY = LlamaShape(vocabulary=49152, width=64, layers=2, heads=4, kv_heads=2, hidden=96, context=512)
NAME = "ft:smollm2-135m:offline:act:0a1b2c3d"
CHAT = "<|im_start|>system\n{}<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
CONVERSATIONS = [
    ("You answer in one sentence.", "What is the capital of France?"),
    ("You play a game. Answer with one action.", "You see a red ball 2 steps forward. What do you do?"),
    ("Du bist höflich.", "Wie heißt die Hauptstadt von Österreich? 🙂"),
]
NEW_TOKENS = 16


@pytest.mark.parametrize("number_format", NUMBER_FORMATS)
def test_an_exported_model_is_read_back_as_it_was(
    base: GgufFile, tmp_path: Path, number_format: NumberFormat
):
    tensors = tensors_of(TINY)
    path = export_gguf(tensors, TINY, base, tmp_path / "a.gguf", name=NAME, number_format=number_format)
    file = GgufFile(path)
    assert (file.shape, file.tokenizer) == (TINY, base.tokenizer)
    read = file.tensors()
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        step = tensor.abs().amax() / (127 if number_format == "q8_0" else 1024)
        assert (read[name] - tensor).abs().max() <= (step if tensor.ndim == 2 else 0)


def test_what_others_read_of_it(base: GgufFile, tmp_path: Path):
    path = export_gguf(tensors_of(TINY, torch.bfloat16), TINY, base, tmp_path / "a.gguf", name=NAME)
    reader = GgufFile(path).reader
    values = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    assert values["general.name"] == NAME
    assert values["general.license"] == "apache-2.0"
    assert values["general.base_model.0.repo_url"].endswith("/HuggingFaceTB/SmolLM2-135M-Instruct")
    assert values["general.file_type"] == gguf.LlamaFileType.MOSTLY_Q8_0
    assert values["llama.rope.dimension_count"] == 16
    tokenizer = {key for key in base.reader.fields if key.startswith("tokenizer.")}
    assert {key: values[key] for key in tokenizer} == {key: base.value(key) for key in tokenizer}
    types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert types["token_embd.weight"] == types["blk.1.attn_k.weight"] == "Q8_0"
    assert types["output_norm.weight"] == types["blk.0.attn_norm.weight"] == "F32"
    assert "output.weight" not in types


def test_rows_that_do_not_divide_into_blocks_are_float16(base: GgufFile, tmp_path: Path):
    shape = LlamaShape(vocabulary=49152, width=32, layers=1, heads=2, kv_heads=1, hidden=40)
    path = export_gguf(tensors_of(shape), shape, base, tmp_path / "a.gguf", name=NAME)
    types = {tensor.name: tensor.tensor_type.name for tensor in GgufFile(path).reader.tensors}
    assert (types["blk.0.ffn_down.weight"], types["blk.0.ffn_up.weight"]) == ("F16", "Q8_0")
    assert GgufFile(path).shape == shape


def test_a_model_with_other_tokens_is_refused(base: GgufFile, tmp_path: Path):
    shape = LlamaShape(vocabulary=32, width=32, layers=1, heads=2, kv_heads=1, hidden=64)
    with pytest.raises(ConfigError, match=r"the model has 32 tokens and the tokenizer of SmolLM2\S+ 49152; "):
        export_gguf(tensors_of(shape), shape, base, tmp_path / "a.gguf", name=NAME)
    assert not list(tmp_path.iterdir())


def test_an_export_that_fails_leaves_the_file_that_was_there(base: GgufFile, tmp_path: Path):
    path = tmp_path / "a.gguf"
    path.write_text("old")
    tensors = tensors_of(TINY) | {"model.unknown.weight": torch.zeros(3)}
    with pytest.raises(KeyError):
        export_gguf(tensors, TINY, base, path, name=NAME)
    assert path.read_text() == "old"
    with pytest.raises(FileWriteError, match="cannot write"):
        export_gguf(tensors_of(TINY), TINY, base, path / "below.gguf", name=NAME)
    assert list(tmp_path.iterdir()) == [path]


@pytest.fixture(scope="module")
def tuned(base: GgufFile, base_tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Every matrix of the upper layers is another than the base's, and the model still speaks."""
    generator = torch.Generator().manual_seed(0)
    tensors = dict(base_tensors)
    for name, tensor in base_tensors.items():
        if tensor.ndim == 2 and any(f".layers.{index}." in name for index in range(20, 30)):
            noise = torch.randn(tensor.shape, generator=generator) * tensor.std()
            tensors[name] = tensor + 0.03 * noise
    return tensors


@pytest.fixture(scope="module")
def reference(base: GgufFile, tuned: dict[str, torch.Tensor]) -> Any:
    """transformers' Llama with the tensors before they were exported."""
    pytest.importorskip("transformers", reason=NO_LLM_TESTS)
    from tests.support.reference_llama import reference_llama

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield reference_llama(base.shape, tuned)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=NUMBER_FORMATS)
def llama_cpp(
    request: pytest.FixtureRequest,
    base: GgufFile,
    tuned: dict[str, torch.Tensor],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LlamaCpp]:
    pytest.importorskip("xllamacpp", reason=NO_LLM_TESTS)
    path = tmp_path_factory.mktemp("export") / "tuned.gguf"
    export_gguf(tuned, base.shape, base, path, name=NAME, number_format=request.param)
    yield LlamaCpp(path, request.param)
    path.unlink()


@pytest.mark.e2e
@pytest.mark.parametrize(("system", "user"), CONVERSATIONS)
def test_llama_cpp_generates_what_transformers_does(
    base: GgufFile, reference: Any, llama_cpp: LlamaCpp, system: str, user: str
):
    """At each token, within what the rounding of its weights may do to a probability (in nats)."""
    prompt = CHAT.format(system, user)
    text, answer = llama_cpp.complete(prompt, NEW_TOKENS)
    if (system, user) == CONVERSATIONS[0]:
        assert llama_cpp.chat([("system", system), ("user", user)], NEW_TOKENS) == text
    ids = ChatTokenizer(base.tokenizer).encode(prompt)
    chosen = [token["id"] for token in answer]
    with torch.inference_mode():
        logits = reference(torch.tensor([ids + chosen])).logits[0, len(ids) - 1 : -1]
    scores = logits.log_softmax(-1)
    of_chosen = scores.gather(1, torch.tensor(chosen)[:, None])[:, 0]
    assert (scores.amax(-1) - of_chosen).max() < llama_cpp.rounding
    of_llama_cpp = torch.tensor([token["logprob"] for token in answer])
    assert (of_chosen - of_llama_cpp).abs().max() < llama_cpp.rounding
    assert text.strip()
