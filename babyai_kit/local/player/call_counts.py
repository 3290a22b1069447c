"""What the server counted, for tests and measurements: calls by question and outcome.

Of each question a hash and three numbers are kept, and no text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class QuestionCounts:
    """What happened to one identity (messages and seed): counts."""

    attempts: int = 0
    answers: int = 0
    failures: int = 0  # passing faults in a row, up to now


@dataclass
class CallCounts:
    """Counters since the start. All are numbers of chat completion calls.

    requests: all that arrived. refused: bad key, body or model. answers: answered with
    status 200 and a choice, spoiled ones included. faults: by kind. identities: per question.
    in_flight: in progress now. max_in_flight: the most at once.
    """

    requests: int = 0
    refused: int = 0
    answers: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    identities: dict[str, QuestionCounts] = field(default_factory=dict)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count a call, which is in flight until the context ends."""
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    def question(self, identity: str) -> QuestionCounts:
        return self.identities.setdefault(identity, QuestionCounts())

    def add_answer(self, identity: str) -> None:
        question = self.question(identity)
        self.answers += 1
        question.answers += 1
        question.failures = 0

    @property
    def repeated_answers(self) -> int:
        """Answers to questions that had been answered before: what a killed client paid for twice."""
        return sum(max(question.answers - 1, 0) for question in self.identities.values())

    def as_dict(self, *, identities: bool = False) -> dict[str, Any]:
        """For JSON; with `identities`, the number of answers to each question too."""
        counts: dict[str, Any] = {
            "requests": self.requests,
            "refused": self.refused,
            "answers": self.answers,
            "distinct_requests": len(self.identities),
            "repeated_answers": self.repeated_answers,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "faults": dict(self.faults),
        }
        if identities:
            counts["answers_by_identity"] = {k: v.answers for k, v in self.identities.items()}
        return counts
