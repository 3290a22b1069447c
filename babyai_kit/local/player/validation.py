"""Validation of request bodies by pydantic, with refusals in OpenAI's form.

Import this module and `request_bodies` inside functions only: pydantic would add 60 ms to the import of the
server.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from babyai_kit.local.player.protocol import ProtocolError


class Body(BaseModel):
    """Base of all bodies and their parts.

    Fields that a model does not have are accepted and ignored; null and {} count as absent. Types are strict:
    true is not an integer, and NaN is not a number.
    """

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, fields: Any) -> Any:
        if isinstance(fields, dict):
            return {name: value for name, value in fields.items() if value is not None and value != {}}
        return fields


BodyT = TypeVar("BodyT", bound=Body)


def validate(model: type[BodyT], fields: object, *, place: str = "") -> BodyT:
    """`fields` as a `model`. Raises ProtocolError (400) that names the first field at fault.

    `place`: where in the request body `fields` are, such as "hyperparameters"; empty: they are the body.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
    param = f"{place}.{_path(errors[0], fields)}".strip(".")
    if errors[0]["type"] == "extra_forbidden":
        message = f"Unknown parameter: '{param}'. There are {', '.join(model.model_fields)}."
        raise ProtocolError(400, message, code="unknown_parameter", param=param)
    # A value that fits no branch of a union has an error for each branch.
    path = _path(errors[0], fields)
    reasons = ", or ".join(_reason(one) for one in errors if _path(one, fields) == path)
    raise ProtocolError(400, f"Invalid '{param}': {reasons}.", param=param)


def _reason(error: ErrorDetails) -> str:
    if error["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "input should be an object"  # pydantic names Python's types
    if error["type"] == "none_required":
        return "it cannot be set for this model"
    text = error["msg"].removeprefix("Value error, ")
    return text[0].lower() + text[1:]


def _path(error: ErrorDetails, value: object) -> str:
    """Where in `value` the error is, such as messages[0].content.

    pydantic's own location also names the branches of unions; they are left out.
    """
    path = ""
    for number, part in enumerate(error["loc"], start=1):
        if isinstance(part, int):
            path += f"[{part}]"
            value = value[part] if isinstance(value, list) else None
        elif isinstance(value, dict) and part in value:
            path += f".{part}"
            value = value[part]
        elif isinstance(value, dict) and error["type"] == "missing" and number == len(error["loc"]):
            path += f".{part}"
    return path.removeprefix(".")
