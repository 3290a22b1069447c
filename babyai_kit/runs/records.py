"""The records of a run: what one step, one call and one finished episode are. Knows no table."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast, get_args

from babyai_kit.errors import ErrorKind, ServiceError

R = TypeVar("R", "StepRecord", "CallRecord", "EpisodeRecord", "Registration")


@dataclass(frozen=True, order=True)
class EpisodeKey:
    """What is measured once: a row of the table has exactly one of these."""

    run: str
    variant: str
    model: str
    task: str
    num_dists: int
    seed: int
    repeat: int
    history_length: int

    def call_seed(self, step: int, call: int = 0) -> int:
        """Sampling seed of a call of `step`, in [0, 2**31): equal in a resumed run."""
        text = f"{self.variant}|{self.task}|{self.seed}|{self.repeat}|{step}" + (f"|{call}" if call else "")
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


@dataclass(frozen=True)
class _OfStep:
    """To which step of which episode a line belongs."""

    run: str
    episode_id: str
    variant: str
    variant_digest: str
    model: str
    task: str
    num_dists: int
    seed: int
    repeat: int
    history_length: int
    step: int
    """From 0."""

    @property
    def key(self) -> EpisodeKey:
        return key_of(vars(self))


@dataclass(frozen=True)
class StepRecord(_OfStep):
    """One answered call and what it did (a line of `steps.jsonl`)."""

    observation: str
    """Seen before the action."""
    answer: str | None
    """The model's raw text; None if it sent none."""
    thinking: str | None
    action: str
    """The action executed, also after an invalid answer."""
    valid: bool
    reward: float
    input_tokens: int | None
    """None where the server reports no usage; likewise output_tokens."""
    output_tokens: int | None
    cost_usd: float | None
    """None without a price."""
    call_s: float
    """Seconds of the answered call alone."""
    inference_id: str
    finish_reason: str | None = None
    """Why the model stopped: stop, length, content_filter, ...; None where it was not told."""
    cached_tokens: int | None = None
    """Of input_tokens, those that the provider had in its cache; None where it does not say."""
    reasoning_tokens: int | None = None
    """Of output_tokens, those that the model thought with; None where its provider does not say."""
    calls: int = 1
    """Answered calls of the step. Of several, tokens, cost and seconds are sums, and answer and inference_id
    are the last one's; of none, the agent decided by itself, and inference_id is empty."""


@dataclass(frozen=True)
class CallRecord(_OfStep):
    """One answered call of an agent that may call several times a step (a line of `calls.jsonl`).

    An agent that calls once for every step has no such lines: its steps say it all.
    """

    call: int
    """From 0, within the step."""
    request: str
    """12 hex digits over what was asked, so that a resumed agent is seen to ask the same."""
    answer: str | None
    parsed: str | None
    """As JSON, the answer to template arguments if it was valid; else None."""
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    call_s: float
    inference_id: str
    finish_reason: str | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True)
class EpisodeRecord(EpisodeKey):
    """One finished episode (a line of `episodes.jsonl`, a row of the table).

    Of an error row, success and return are None and the sums cover the steps that were answered.
    """

    variant_digest: str
    episode_id: str
    status: str
    """`ok`, or `error` when model, gateway or store failed."""
    error: str | None
    """`kind: message` of an error row."""
    success: bool | None
    episode_return: float | None
    episode_length: int
    """Steps."""
    max_steps: int
    shortest_length: int | None
    """Fewest steps to success; None for levels without that figure."""
    invalid_actions: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    wall_s: float
    """Sum of call_s: no queueing, no backoff, no failed attempts."""
    error_kind: ErrorKind | None = None
    """What failed in an error row; the same as in front of `error`."""
    cached_tokens: int | None = None
    """Of input_tokens; None where a call's provider does not say. Likewise of output_tokens:"""
    reasoning_tokens: int | None = None
    calls: int | None = None
    """Answered calls; None in runs of earlier versions, whose every step is one."""

    @property
    def key(self) -> EpisodeKey:
        return key_of(vars(self))

    @property
    def outcome(self) -> str:
        """`success`, `failure` or `error`."""
        return "error" if self.status != "ok" else "success" if self.success else "failure"

    @property
    def asked(self) -> bool:
        """False if its agent asked nothing: the gateway then knows nothing of it."""
        return self.calls != 0


@dataclass(frozen=True)
class Registration(EpisodeKey):
    """An episode's id from a workflow evaluation, before its first call (a line of `registered.jsonl`)."""

    variant_digest: str
    episode_id: str

    @property
    def key(self) -> EpisodeKey:
        return key_of(vars(self))


KEY_COLUMNS = [f.name for f in dataclasses.fields(EpisodeKey)]


def key_of(row: Mapping[str, Any]) -> EpisodeKey:
    """The key among the fields of `row`."""
    return EpisodeKey(**{name: row[name] for name in KEY_COLUMNS})


def from_json(kind: type[R], row: Mapping[str, Any]) -> R:
    """A record from a JSON line; keys that a later version may have added are ignored.

    Fields with a default are those that earlier versions did not write. Raises KeyError for a line that lacks
    any other.
    """
    if kind is EpisodeRecord and "error_kind" not in row:  # lines of runs before format 1
        row = {**row, "error_kind": _kind_in(row["error"])}
    known = (f for f in dataclasses.fields(kind) if f.name in row or f.default is dataclasses.MISSING)
    return kind(**{f.name: row[f.name] for f in known})


def _kind_in(error: str | None) -> ErrorKind | None:
    """The kind in front of an error row's text."""
    if error is None:
        return None
    kind = error.partition(":")[0]
    return cast(ErrorKind, kind) if kind in get_args(ErrorKind) else "other"


def answered_calls(
    steps: Mapping[str, Sequence[StepRecord]], calls: Mapping[str, Sequence[CallRecord]]
) -> list[StepRecord | CallRecord]:
    """Every answered call of a run once, both given by episode_id: the calls of agents that record them, else
    the steps."""
    found: list[StepRecord | CallRecord] = []
    for episode_id in {**steps, **calls}:
        found += calls[episode_id] if episode_id in calls else steps[episode_id]
    return found


def summarize(
    key: EpisodeKey,
    digest: str,
    episode_id: str,
    steps: Sequence[StepRecord],
    *,
    max_steps: int,
    shortest_length: int | None,
    closing: Sequence[CallRecord] = (),
    error: ServiceError | None = None,
) -> EpisodeRecord:
    """The row of an episode that ended after `steps` and the `closing` calls of its agent, or broke off there
    with `error`."""
    reward = sum(s.reward for s in steps)
    paid: list[StepRecord | CallRecord] = [*steps, *closing]
    return EpisodeRecord(
        **vars(key),
        variant_digest=digest,
        episode_id=episode_id,
        status="error" if error else "ok",
        # A lone surrogate has no UTF-8 form, and a table of strings cannot hold it.
        error=f"{error.kind}: {error}".encode(errors="backslashreplace").decode() if error else None,
        error_kind=error.kind if error else None,
        success=None if error else reward > 0,
        episode_return=None if error else float(reward),
        episode_length=len(steps),
        max_steps=max_steps,
        shortest_length=shortest_length,
        invalid_actions=sum(not s.valid for s in steps),
        input_tokens=total(s.input_tokens for s in paid),
        output_tokens=total(s.output_tokens for s in paid),
        cost_usd=total(s.cost_usd for s in paid),
        wall_s=sum(s.call_s for s in paid),
        cached_tokens=total(s.cached_tokens for s in paid),
        reasoning_tokens=total(s.reasoning_tokens for s in paid),
        calls=sum(s.calls for s in steps) + len(closing),
    )


def total(values: Iterable[Any]) -> Any:
    """The sum, or None if any part is unknown: a partial sum would pass for the whole."""
    values = list(values)
    return None if any(v is None for v in values) else sum(values)


def present(
    records: Iterable[EpisodeRecord], digests: Mapping[str, Mapping[str, str]]
) -> list[EpisodeRecord]:
    """The last record of each key that was made with the present prompt of its variant.

    `digests`: of the present prompts, by variant and model; an agent that is not among them counts with its
    last record's.
    """
    records = list(records)
    known = {(variant, model): digest for variant, of in digests.items() for model, digest in of.items()}
    digest_of = {**{(r.variant, r.model): r.variant_digest for r in records}, **known}
    last = {r.key: r for r in records if r.variant_digest == digest_of[r.variant, r.model]}
    return list(last.values())
