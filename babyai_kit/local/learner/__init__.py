"""A small language model that learns BabyAI-Text from its own episodes, on a CPU, in minutes.

Needs the extra `learner` (PyTorch); nothing else of the kit does, and this module can be imported without it.
The model is a decoder-only transformer of 0.6 million parameters, made here from nothing: it has read poor
demonstrations of this game and no other text, so its figures say what learning from experience does, and
nothing about any hosted language model.

Rooms: `tokenizer` (messages to tokens), `model` (the transformer), `sampling` (answers, in batches), `data`
and `examples` (what is learnt from), `training`, `demonstrations` and `base` (the base model), `weights` (on
disk), `serving`, `trainer` and `on_demand` (behind the offline player's server), `rollout` and `selection`
(the same without a server), `install` (PyTorch without CUDA).
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

from babyai_kit.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from babyai_kit.local.learner.lazy import LearnerOnDemand
    from babyai_kit.local.learner.trainer import Learner

INSTALL = "pip install torch --index-url https://download.pytorch.org/whl/cpu"


def available() -> bool:
    """True if PyTorch is installed; it is not loaded."""
    return importlib.util.find_spec("torch") is not None


def make_learner(folder: str | Path, *, progress: bool = True) -> LearnerOnDemand:
    """The learner whose base model is kept under `folder`. Raises ConfigError without PyTorch."""
    if not available():
        raise ConfigError(f"the learner needs PyTorch; install the extra 'learner', or on a CPU: {INSTALL}")
    from babyai_kit.local.learner.lazy import LearnerOnDemand

    def make() -> Learner:
        from babyai_kit.local.learner.trainer import Learner

        return Learner(folder, progress=progress)

    return LearnerOnDemand(make)


def job_curve(job_id: str, data: str | Path = "data") -> pd.DataFrame:
    """What a job of the server under `data` told while it learnt, a row per report in order of `step`.

    Columns: step, train_loss and valid_loss (nats per token), train_ and valid_mean_token_accuracy (0 to 1).
    """
    import pandas as pd

    file = Path(data) / "player" / "jobs" / job_id / "events.jsonl"
    events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return pd.DataFrame([event["data"] for event in events if event["type"] == "metrics"])
