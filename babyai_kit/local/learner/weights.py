"""Models on disk: a file with shape and weights, written as a whole.

Files are loaded as plain data: nothing in them is executed.
"""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path

import torch

from babyai_kit.atomic_files import write_atomically
from babyai_kit.local.learner.model import Shape, Transformer

WEIGHTS_FILE = "model.pt"


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def save(model: Transformer, folder: Path) -> None:
    """Write the model into `folder`, which is created. Raises FileWriteError where that is not possible."""
    weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    content = io.BytesIO()
    torch.save({"shape": asdict(model.shape), "weights": weights}, content)
    write_atomically(folder / WEIGHTS_FILE, content.getvalue())


def load(folder: Path) -> Transformer:
    """The model saved in `folder`. Raises FileNotFoundError if there is none."""
    content = torch.load(folder / WEIGHTS_FILE, map_location=device(), weights_only=True)
    model = Transformer(Shape(**content["shape"])).to(device())
    model.load_state_dict(content["weights"])
    return model.eval()
