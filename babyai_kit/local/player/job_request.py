"""One request for a fine-tuning job, checked.

Knows the body of OpenAI's `fine_tuning/jobs` as far as this server honours it (supervised only); nothing
of files, models or training. Refusals name the field.
"""

from __future__ import annotations

import json
import secrets
from typing import Any

from babyai_kit.local.player.chat_request import ProtocolError

DEFAULT_EPOCHS = 3
MOST_EPOCHS = 50


def parse_job(raw: bytes) -> dict[str, Any]:
    """The fields of a job object that its creator decides. Raises ProtocolError (400)."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        raise ProtocolError(400, "The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise ProtocolError(400, "The request body must be a JSON object.")
    for name in ("model", "training_file"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise ProtocolError(400, f"you must provide a {name} parameter", param=name)
    validation = body.get("validation_file")
    if validation is not None and not isinstance(validation, str):
        raise _refuse("validation_file", "the id of a file")
    suffix = body.get("suffix")
    if suffix is not None and not (isinstance(suffix, str) and len(suffix) <= 64 and suffix.isprintable()):
        raise _refuse("suffix", "a text of at most 64 characters")
    if body.get("integrations"):
        raise _refuse("integrations", "none; this server has no integrations")
    metadata = body.get("metadata")
    if metadata is not None and not (
        isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
    ):
        raise _refuse("metadata", "texts by name")
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**31):
        raise _refuse("seed", "an integer from 0 to 2147483647")
    given = _hyperparameters(body)
    return {
        "model": body["model"],
        "training_file": body["training_file"],
        "validation_file": validation,
        "user_provided_suffix": suffix,
        "seed": secrets.randbelow(2**31) if seed is None else seed,
        "metadata": metadata,
        "hyperparameters": given,
        "method": {"type": "supervised", "supervised": {"hyperparameters": given}},
    }


def _hyperparameters(body: dict[str, Any]) -> dict[str, Any]:
    method = body.get("method") or {"type": "supervised"}
    if not isinstance(method, dict) or method.get("type") != "supervised":
        raise _refuse("method", "type supervised")
    supervised = method.get("supervised") or {}
    given = (supervised.get("hyperparameters") if isinstance(supervised, dict) else None) or body.get(
        "hyperparameters"
    )
    given = given or {}
    if not isinstance(given, dict):
        raise _refuse("hyperparameters", "an object")
    epochs, batch, rate = (
        given.get(name, "auto") for name in ("n_epochs", "batch_size", "learning_rate_multiplier")
    )
    if epochs == "auto":
        epochs = DEFAULT_EPOCHS
    if not _whole(epochs) or not 1 <= epochs <= MOST_EPOCHS:
        raise _refuse("hyperparameters.n_epochs", f"auto or an integer from 1 to {MOST_EPOCHS}")
    if batch != "auto" and not (_whole(batch) and 1 <= batch <= 256):
        raise _refuse("hyperparameters.batch_size", "auto or an integer from 1 to 256")
    if rate != "auto" and (
        isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate <= 10
    ):
        raise _refuse("hyperparameters.learning_rate_multiplier", "auto or a number above 0, at most 10")
    return {"n_epochs": epochs, "batch_size": batch, "learning_rate_multiplier": rate}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse(param: str, expected: str) -> ProtocolError:
    return ProtocolError(400, f"Invalid '{param}': expected {expected}.", param=param)
