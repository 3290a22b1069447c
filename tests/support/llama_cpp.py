"""llama.cpp with an exported model, as the package xllamacpp has it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from babyai_kit.local.language_model.gguf_export import NumberFormat


class LlamaCpp:
    """The model at `path`, exported in `number_format`; greedy, on one thread.

    cache_prompt: what prompts share is computed once; sums then differ a little with what was asked before.
    """

    def __init__(self, path: Path, number_format: NumberFormat, *, cache_prompt: bool = False) -> None:
        import xllamacpp

        self.rounding = 0.05 if number_format == "f16" else 0.6
        """What that of the weights may do to a token's log-probability, in nats."""
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx, params.n_parallel, params.n_gpu_layers = 1024, 1, 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.warmup, params.cache_prompt = False, cache_prompt
        self._server = xllamacpp.Server(params)

    def complete(self, prompt: str, max_tokens: int) -> tuple[str, list[dict[str, Any]]]:
        """The text, and per token its `id` and `logprob`."""
        request = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "logprobs": 1}
        (choice,) = self._server.handle_completions(request)["choices"]
        return choice["text"], choice["logprobs"]["content"]

    def chat(self, messages: Iterable[tuple[str, str]], max_tokens: int) -> str:
        """The text that answers (role, text) pairs."""
        turns = [{"role": role, "content": text} for role, text in messages]
        request = {"messages": turns, "max_tokens": max_tokens, "temperature": 0}
        (choice,) = self._server.handle_chat_completions(request)["choices"]
        return choice["message"]["content"]
