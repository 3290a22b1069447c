"""A small language model that learns BabyAI-Text from its own episodes, on a CPU, in minutes.

Needs the extra `learner` (PyTorch); nothing else of the kit does, and this module can be imported without it.
The model is a decoder-only transformer of 0.6 million parameters, trained from scratch: it has read poor
demonstrations of this game and no other text, so its results say what learning from experience does, and
nothing about any hosted language model.

Modules: `tokenizer` (messages to tokens), `model` (the transformer), `sampling` (answers, in batches),
`conversations` and `windows` (training data), `training`, `demonstrations` and `base_model`, `weights` (on
disk), `build_report` (while it is built), `batching` and `trainer` (behind the offline player's server),
`install` (PyTorch without CUDA).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

from babyai_kit.configuration.models import LEARNER_MODEL
from babyai_kit.configuration.project import PROJECT_DATA, StrPath
from babyai_kit.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from babyai_kit.local.learner.trainer import Learner
    from babyai_kit.local.player.lazy_trainer import LazyTrainer

INSTALL = "pip install torch --index-url https://download.pytorch.org/whl/cpu"
OWNER = "babyai-kit (small model trained here, no hosted LLM)"
FINGERPRINT = "small-model-trained-here-no-hosted-LLM"


def available() -> bool:
    """True if PyTorch is installed; it is not loaded."""
    return importlib.util.find_spec("torch") is not None


def make_learner(folder: str | Path, *, progress: bool = True) -> LazyTrainer:
    """The learner whose base model is kept under `folder`; PyTorch is loaded when it is first used.

    `progress`: print how far the base model is while it is built. Raises ConfigError without PyTorch.
    """
    if not available():
        raise ConfigError(f"the learner needs PyTorch; install the extra 'learner', or on a CPU: {INSTALL}")
    from babyai_kit.local.player.lazy_trainer import LazyTrainer

    def load() -> Learner:
        from babyai_kit.local.learner.trainer import Learner

        return Learner(folder, progress=progress)

    return LazyTrainer(load, models=(LEARNER_MODEL,), owner=OWNER, fingerprint=FINGERPRINT)


def job_curve(job_id: str, data: StrPath = PROJECT_DATA) -> pd.DataFrame:
    """The metrics of a fine-tuning job of the server under `data`, a row per report in order of `step`.

    Columns: step, train_loss and valid_loss (nats per token), train_ and valid_mean_token_accuracy (0 to 1).
    """
    import pandas as pd

    path = Path(data) / "player" / "jobs" / job_id / "events.jsonl"
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return pd.DataFrame([event["data"] for event in events if event["type"] == "metrics"])
