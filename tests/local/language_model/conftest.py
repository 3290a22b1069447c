from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from babyai_kit.local.language_model.base_file import missing
from tests.local.language_model import NO_LLM

if TYPE_CHECKING:
    import torch

    from babyai_kit.local.language_model.gguf_file import GgufFile
    from babyai_kit.local.language_model.library import Library


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Several threads on busy cores take longer than one."""
    if not missing():
        import torch

        torch.set_num_threads(1)


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


@pytest.fixture(scope="session")
def tiny(base: GgufFile, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Models over a random base of two thin layers."""
    import torch

    from babyai_kit.local.language_model.library import Library
    from tests.support.tiny_llama import write_tiny

    return Library(write_tiny(base, tmp_path_factory.mktemp("tiny") / "tiny.gguf"), dtype=torch.float32)


@pytest.fixture(scope="session")
def real(base: GgufFile) -> Library:
    """Models over the pretrained base, in full precision."""
    import torch

    from babyai_kit.local.language_model.library import Library

    return Library(base, dtype=torch.float32)


@pytest.fixture(scope="session")
def served(base: GgufFile) -> Library:
    """Models over the pretrained base as they are served: in the number format that this CPU does faster."""
    from babyai_kit.local.language_model.library import Library

    return Library(base)
