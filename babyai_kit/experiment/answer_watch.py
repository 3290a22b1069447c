"""Tells early that answers are not valid or too long, and stops a run in which none is valid.

An invalid answer is the agent's and counts as one. But a model whose every answer is cut off or wrapped
measures a setting, and whole runs have been paid for that before anybody looked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection

from babyai_kit.errors import NoValidAnswers
from babyai_kit.runs.answers import InvalidReason, counts_text, invalid_reason, remedy
from babyai_kit.runs.records import StepRecord

EARLY = 20
"""Answers of a variant after which the user is told that most are not valid."""
DEFAULT_STOP_AFTER = 50


class AnswerWatch:
    """Counts the answers of one command.

    `stop_after`: answers of which none is valid that stop the run, over all variants; 0: it never stops.
    `say` gets a line for a variant most of whose answers are not valid, one more if none of
    `stop_after` (DEFAULT_STOP_AFTER without it) is, and one for a model whose answer has more tokens than
    `max_tokens`, the limit that was sent (None: none was). `chats`: the variants that are agents of Python
    code.
    """

    def __init__(
        self,
        stop_after: int,
        say: Callable[[str], None],
        *,
        max_tokens: int | None = None,
        chats: Collection[str] = (),
    ) -> None:
        self._max_tokens = max_tokens
        self._chats = chats
        self._unlimited: set[str] = set()
        self._stop_after = stop_after
        self._say = say
        self._answers: Counter[str] = Counter()
        self._invalid: dict[str, Counter[InvalidReason]] = {}
        self._told: set[str] = set()

    @property
    def invalid_share(self) -> float:
        """Of all answers, in [0, 1]."""
        return sum(map(Counter.total, self._invalid.values())) / max(1, self._answers.total())

    def count(self, step: StepRecord) -> NoValidAnswers | None:
        """Count an answer. The error stops the run. What an agent did by itself is none."""
        if not step.calls:
            return None
        variant, reason = step.variant, invalid_reason(step)
        self._tell_length(step)
        self._answers[variant] += 1
        reasons = self._invalid.setdefault(variant, Counter())
        if reason is None:
            return None
        reasons[reason] += 1
        hopeless = self._hopeless()
        if hopeless is None:
            self._tell(variant, self._answers[variant], reasons)
        return hopeless

    def _tell_length(self, step: StepRecord) -> None:
        # Some servers pay no attention to the limit's newer name, and none to what they do not know.
        if step.model in self._unlimited or not self._max_tokens:
            return
        if step.output_tokens is not None and step.output_tokens > self._max_tokens:
            self._unlimited.add(step.model)
            self._say(
                f"An answer of {step.model} has {step.output_tokens:,} tokens, though at most "
                f"{self._max_tokens:,} were asked for: the rest may cost more than estimated; limit answers "
                "at the server (with Ollama: num_predict)."
            )

    def _tell(self, variant: str, answers: int, reasons: Counter[InvalidReason]) -> None:
        invalid, helps = reasons.total(), remedy(reasons, chats=variant in self._chats)
        if answers == invalid == (self._stop_after or DEFAULT_STOP_AFTER):
            self._say(
                f"None of the first {answers} answers of {variant} is valid ({counts_text(reasons)}); "
                f"{helps}."
            )
        elif answers >= EARLY and 2 * invalid > answers and variant not in self._told:
            self._say(
                f"{invalid} of the first {answers} answers of {variant} are not valid "
                f"({counts_text(reasons)}); {helps}."
            )
            self._told.add(variant)

    def _hopeless(self) -> NoValidAnswers | None:
        answers = self._answers.total()
        reasons = sum(self._invalid.values(), Counter[InvalidReason]())
        if not self._stop_after or answers < self._stop_after or reasons.total() < answers:
            return None
        helps = remedy(reasons, chats=set(self._answers) <= set(self._chats))
        return NoValidAnswers(
            f"none of the first {answers} answers is valid ({counts_text(reasons)}); {helps}, then run under "
            "another name, or with --stop-after-invalid 0 to go on regardless"
        )
