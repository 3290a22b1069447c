"""Whether a record that was read can be what the kit wrote: the type and range of each of its fields."""

from __future__ import annotations

import dataclasses

from babyai_kit.environment import ACTIONS
from babyai_kit.runs.records import CallRecord, EpisodeRecord, R, Registration, StepRecord

MAX_NUMBER = 2.0**63
"""No number of a record reaches it; tables hold whole numbers of 64 bits."""

MAX_STEPS = 1_000_000
"""No episode has as many steps."""

_NONE = type(None)
# A figure that may be unknown may also be a float, as in tables; one that identifies an episode may not.
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, _NONE),
    "int": (int,),
    "int | None": (int, float, _NONE),
    "float": (float, int),
    "float | None": (float, int, _NONE),
    "bool": (bool,),
    "bool | None": (bool, _NONE),
    "ErrorKind | None": (str, _NONE),
}
_FIELDS = {
    kind: [(field.name, frozenset(_TYPES[str(field.type)])) for field in dataclasses.fields(kind)]
    for kind in (StepRecord, CallRecord, EpisodeRecord, Registration)
}


def wrong_field(record: R) -> str | None:
    """The first field of `record` whose value cannot be, or None."""
    for name, types in _FIELDS[type(record)]:
        value = getattr(record, name)
        if type(value) not in types:
            return name
        # Written so that NaN is found too.
        if type(value) in (int, float) and not -MAX_NUMBER < value < MAX_NUMBER:
            return name
    if isinstance(record, StepRecord):
        if record.action not in ACTIONS:
            return "action"
        return None if 0 <= record.step < MAX_STEPS else "step"
    if isinstance(record, CallRecord):
        return None if 0 <= record.step < MAX_STEPS and 0 <= record.call < MAX_STEPS else "step"
    if isinstance(record, EpisodeRecord):
        if not 0 <= record.episode_length < MAX_STEPS:
            return "episode_length"
        if record.status not in ("ok", "error"):
            return "status"
        if record.status == "ok" and (record.success is None or record.episode_return is None):
            return "success" if record.success is None else "episode_return"
    return None
