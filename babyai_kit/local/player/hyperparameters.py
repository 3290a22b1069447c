"""The hyperparameters of a fine-tuning job: OpenAI's, to which a trainer may add its own.

Import inside functions only (see `validation`).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from babyai_kit.local.player.validation import Body

MAX_EPOCHS = 50


class Hyperparameters(Body):
    """OpenAI's, with a default for each; "auto" counts as absent, and a name that is not here is refused.

    A trainer that takes more returns a subclass of it from `Trainer.hyperparameters`.
    """

    model_config = ConfigDict(extra="forbid")

    n_epochs: Annotated[int, Field(ge=1, le=MAX_EPOCHS)] = 3
    batch_size: Annotated[int, Field(ge=1, le=256)] | Literal["auto"] = "auto"
    learning_rate_multiplier: Annotated[float, Field(gt=0, le=10)] | Literal["auto"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _drop_auto(cls, fields: Any) -> Any:
        if isinstance(fields, dict):
            return {name: value for name, value in fields.items() if value != "auto"}
        return fields
