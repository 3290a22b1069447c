"""Models on disk: a file with shape and weights, written as a whole.

Knows the file; nothing of how a model came to be. Files are loaded as plain data: nothing in them is run.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from babyai_kit.local.learner.model import Shape, Transformer

FILE = "model.pt"


def device() -> torch.device:
    """The GPU if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def save(model: Transformer, folder: Path) -> None:
    """Write the model into `folder`, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{FILE}.part"
    weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    torch.save({"shape": asdict(model.shape), "weights": weights}, part)
    part.replace(folder / FILE)


def load(folder: Path) -> Transformer:
    """Raises FileNotFoundError where no model was saved."""
    kept = torch.load(folder / FILE, map_location=device(), weights_only=True)
    model = Transformer(Shape(**kept["shape"])).to(device())
    model.load_state_dict(kept["weights"])
    return model.eval()
