from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from babyai_kit.local.language_model.base_file import missing
from tests.local.language_model import NO_LLM

if TYPE_CHECKING:
    import torch

    from babyai_kit.local.language_model.gguf_file import GgufFile


@pytest.fixture(scope="session")
def base() -> GgufFile:
    if missing():
        pytest.skip(NO_LLM)
    from babyai_kit.local.language_model.weights import open_base

    return open_base()


@pytest.fixture(scope="session")
def base_tensors(base: GgufFile) -> dict[str, torch.Tensor]:
    """Not to be changed."""
    return base.tensors()
