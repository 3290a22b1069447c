"""TensorZero's fine-tuning form: where it is, and what to fill in to learn from a curation."""

from __future__ import annotations

from babyai_kit.configuration.models import is_free, is_offline_player
from babyai_kit.configuration.ui_pages import fine_tuning_form
from babyai_kit.configuration.variants import FUNCTION
from babyai_kit.finetune.bases import is_never_tuned
from babyai_kit.finetune.curation import Curation
from babyai_kit.gateway.session import Session
from babyai_kit.runs.metrics import CURATED


def form_guide(session: Session, curation: Curation, *, model: str | None = None) -> str:
    """The address of the form and the value of each field, a line each.

    `model`: the base to fine-tune, unless it is the curation's.
    """
    base = model or curation.model
    foreign = is_offline_player(base) or is_never_tuned(base, session.settings.openai_base_url)
    here = is_free(base) and not foreign
    fields = {
        "Function": FUNCTION,
        "Metric": CURATED,
        "Prompt": curation.variant,
        "Model": f"a base that its provider fine-tunes, not {base}" if foreign else base,
        "Advanced Parameters": "leave as they are",
    }
    lines = [
        "To launch it from TensorZero's UI instead, open",
        f"  {fine_tuning_form(session.settings.ui_url)}",
        "and fill in:",
        *(f"  {name:<21}{value}" for name, value in fields.items()),
        "If the model is not listed, type its name and click Select your provider"
        + (": OpenAI. It is trained on this machine if make up has said so." if here else "."),
        "Then click Start Fine-tuning Job; docs/ui.md goes on from there.",
    ]
    if session.embedded:
        lines.append("No UI sees this run, since its gateway is embedded: collect it with make up.")
    return "\n".join(lines)
