"""Names of models: the default, the two that are served on this machine, and fine-tuned ones.

Only a call tells whether a model of some name answers.
"""

from __future__ import annotations

DEFAULT_MODEL = "gpt-6-luna"
"""OpenAI's, which names it as the successor of gpt-4o-mini (see `retirements`): $0.10 per million tokens of
input, $0.50 of output. It reasons unless asked not to, and cannot be fine-tuned.

Its name, price, reasoning and what it cannot do stand on OpenAI's page of the model, in its help page on
leaving GPT-4.x, and in the price list. No call was made to it where the kit was built."""
OFFLINE_MODEL = "offline-player"
LANGUAGE_MODEL = "smollm2-135m"
"""A small pretrained language model that is served and trained on this machine if `AGENT_MODEL` names it."""

CHECKPOINT = ":ckpt-step-"
"""Between the name of a fine-tuned model and the step of one of its checkpoints, as OpenAI names them."""

HUMAN = "human"
"""Stands in tables where a person played."""

EMBEDDING_MODEL = "text-embedding-3-small"
"""OpenAI's, $0.02 per million tokens."""


def base_model(model: str) -> str:
    """The base model's name in `ft:BASE:ORGANIZATION:SUFFIX:ID`; any other name as it is."""
    return model.split(":")[1] if model.startswith("ft:") and model.count(":") >= 2 else model


def is_offline_player(model: str) -> bool:
    """True for the offline player's models, which are not LLMs, fine-tuned ones included."""
    return base_model(str(model)) == OFFLINE_MODEL


def is_human(model: str) -> bool:
    """True where a person played."""
    return str(model) == HUMAN


def is_local_language_model(model: str) -> bool:
    """True for the language model of this machine and its fine-tuned ones."""
    return base_model(str(model)) == LANGUAGE_MODEL


def is_free(model: str) -> bool:
    """True for models of this machine, which cost nothing."""
    return is_offline_player(model) or is_local_language_model(model)
