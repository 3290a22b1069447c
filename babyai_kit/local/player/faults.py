"""Deliberate faults and delays, drawn so that they repeat: kinds, rates, and how an answer is spoiled.

The chat endpoint carries them out.

Two families. A *passing* fault hits one attempt: it is drawn from (fault seed, identity, attempt), so a
retry draws anew and a run that retries ends as if nothing had happened. A *spoiled* answer belongs to
the question: it is drawn from (fault seed, identity) alone, so every run, killed and resumed or not,
gets the same bad answer. The identity is the hash of messages and seed; without a seed, requests with
equal messages share one.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from babyai_kit.errors import InputError

SPOILED = ("malformed", "empty", "null", "invalid_action", "huge")
PASSING = ("reset", "stall", "html", "no_choices")  # and every HTTP status from 400 to 599

HUGE_CHARACTERS = 200_000
_MALFORMED = (
    "I think the best move is to go forward.",
    '{"action": "go for',
    '{"action": go forward}',
    '```json\n{"action": "go forward"}\n```',
    '{"action": "go forward"} {"action": "toggle"}',
    '["go forward"]',
)
_INVALID = ("fly", "Go Forward", "done", "", "turn left, then go forward", "open the door")


@dataclass(frozen=True)
class Fault:
    """One fault.

    kind: an HTTP status from "400" to "599", "reset" (the connection is cut), "stall" (no answer until
    the client goes away), "html" (a proxy's 502 page), "no_choices" (200 without an answer),
    "malformed" (not JSON of the form asked for), "empty" (a text of length 0), "null" (no text),
    "invalid_action" (an action that does not exist) or "huge" (a valid answer with a very long
    `thinking` that ignores the token limit).
    retry_after_s: seconds, sent as the header Retry-After of a status; None: no header.
    Raises InputError for another kind.
    """

    kind: str
    retry_after_s: float | None = None

    def __post_init__(self) -> None:
        if self.status is None and self.kind not in PASSING + SPOILED:
            kinds = ", ".join(PASSING + SPOILED)
            raise InputError(f"{self.kind!r} is not a kind of fault; use a status from 400 to 599, {kinds}")

    @property
    def status(self) -> int | None:
        """The HTTP status that the fault is, or None."""
        is_status = len(self.kind) == 3 and self.kind.isdecimal() and self.kind[0] in "45"
        return int(self.kind) if is_status else None

    @property
    def passing(self) -> bool:
        return self.kind not in SPOILED


@dataclass(frozen=True)
class FaultPlan:
    """Probabilities of faults by kind (see Fault), each in [0, 1], at most 1 in sum per family.

    seed: another seed hits other questions. max_failures: after so many passing faults in a row for one
    identity the next attempt succeeds; None: no such promise. Raises InputError for bad input.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    retry_after_s: float | None = None
    max_failures: int | None = 3

    def __post_init__(self) -> None:
        for passing in (True, False):
            rates = [rate for kind, rate in self.rates.items() if Fault(kind).passing == passing]
            if not all(0 <= rate <= 1 for rate in rates) or sum(rates) > 1 + 1e-9:
                raise InputError(f"fault rates {rates} are out of range; use 0 to 1 each, at most 1 in sum")

    @classmethod
    def parse(cls, text: str, *, seed: int = 0, retry_after_s: float | None = None) -> FaultPlan:
        """From "429=0.2,reset=0.05,malformed=0.1" ("" for none). Raises InputError."""
        rates = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            kind, _, rate = item.partition("=")
            try:
                rates[kind.strip()] = float(rate)
            except ValueError:
                raise InputError(f"{item!r} is not a fault rate; use KIND=RATE, such as 429=0.2") from None
        return cls(rates, seed=seed, retry_after_s=retry_after_s)

    def passing_fault(self, identity: str, attempt: int, failures: int) -> Fault | None:
        """The fault of attempt 0, 1, ...; `failures`: passing faults in a row just before it."""
        if self.max_failures is not None and failures >= self.max_failures:
            return None
        return self._pick(True, _uniform(self.seed, "passing", identity, attempt))

    def spoiled_answer(self, identity: str) -> Fault | None:
        """The fault that belongs to the question itself, in every run."""
        return self._pick(False, _uniform(self.seed, "spoiled", identity))

    def _pick(self, passing: bool, draw: float) -> Fault | None:
        for kind, rate in self.rates.items():
            fault = Fault(kind, self.retry_after_s)
            if fault.passing == passing:
                if draw < rate:
                    return fault
                draw -= rate
        return None


@dataclass(frozen=True)
class Latency:
    """Delay before an answer: fixed, or lognormal around `mean_s` seconds (its mean) with `sigma`
    (standard deviation of the logarithm; 0: fixed). Drawn from (identity, attempt)."""

    mean_s: float = 0.0
    sigma: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.mean_s < math.inf and 0 <= self.sigma < 10):
            raise InputError("latency is out of range; use a mean >= 0 s and a sigma from 0 to below 10")

    def seconds(self, identity: str, attempt: int) -> float:
        if not self.mean_s or not self.sigma:
            return self.mean_s
        rng = random.Random(_digest("latency", identity, attempt))
        return rng.lognormvariate(math.log(self.mean_s) - self.sigma**2 / 2, self.sigma)


def spoil(fault: Fault, answer: str, identity: str) -> str:
    """The text that takes the place of `answer`; the same for the same identity."""
    pick = _digest("spoil", identity)
    if fault.kind in ("empty", "null"):
        return ""
    if fault.kind == "malformed":
        return _MALFORMED[pick % len(_MALFORMED)]
    try:
        fields = json.loads(answer)
    except ValueError:
        fields = {}
    fields = fields if isinstance(fields, dict) else {}
    if fault.kind == "invalid_action":
        return json.dumps({**fields, "action": _INVALID[pick % len(_INVALID)]})
    words = "I am still thinking. "
    return json.dumps({**fields, "thinking": words * (HUGE_CHARACTERS // len(words))})


def _digest(*parts: object) -> int:
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _uniform(*parts: object) -> float:
    return _digest(*parts) / 2**64
