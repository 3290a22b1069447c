"""What figures and the first lines say of the small model, and what happens without PyTorch."""

from __future__ import annotations

import pandas as pd
import pytest

from babyai_kit import connect
from babyai_kit.configuration.models import LEARNER_MODEL
from babyai_kit.errors import ConfigError
from babyai_kit.figures.caption import model_note, watermark
from babyai_kit.local import learner
from tests.support.project import CONFIG

TUNED = f"ft:{LEARNER_MODEL}:offline:act:1"


def test_a_caption_says_that_it_is_no_hosted_llm_and_not_that_it_is_none():
    assert model_note([LEARNER_MODEL]) == " (small model trained locally: not a hosted LLM)"
    assert model_note(["offline-player", TUNED]).count(";") == 1
    assert model_note(["gpt-4o-mini"]) == ""


def test_its_figures_carry_a_watermark():
    assert (
        watermark(pd.DataFrame({"model": [LEARNER_MODEL, TUNED]}))
        == "small model trained locally: not a hosted LLM"
    )
    assert watermark(pd.DataFrame({"model": [TUNED, "gpt-4o-mini"]})).startswith("partly small model")


async def test_without_pytorch_its_name_is_refused_before_anything_plays(
    data, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(learner, "available", lambda: False)
    monkeypatch.setenv("AGENT_MODEL", LEARNER_MODEL)
    with pytest.raises(ConfigError, match=r"PyTorch.*pip install torch"):
        async with connect(env_file=None, config=CONFIG, data=data, quiet=True):
            pass
