"""A gateway that counts what each model was asked, and asks none of them too often."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from babyai_kit.configuration.prices import FREE, Price
from babyai_kit.errors import ModelError, ServiceError
from babyai_kit.experiment.interview import PASSING
from babyai_kit.gateway.protocol import Answer, Gateway, Question

MAX_CALLS = 8
"""Of one model; those that were turned away before a model saw them do not count."""


@dataclass
class Meter:
    """What one model was asked."""

    calls: int = 0
    answers: list[Answer] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """Of the answered calls."""
    failure: ServiceError | None = None
    """The last one."""

    @property
    def spent(self) -> bool:
        """True if it may not be asked again."""
        return self.calls >= MAX_CALLS

    @property
    def latency_s(self) -> float:
        """Median of the answered calls, in seconds; NaN without any."""
        return median(self.seconds) if self.seconds else float("nan")

    def cost_usd(self, price: Price | None) -> float:
        """US dollars for the answered calls; NaN if that is not known. Refused calls cost nothing."""
        if price is FREE:
            return 0.0
        return sum(_cost_usd(answer, price) for answer in self.answers)


def _cost_usd(answer: Answer, price: Price | None) -> float:
    if price is not None and answer.usage is not None:
        return price.cost_usd(*answer.usage)
    return float("nan") if answer.cost_usd is None else answer.cost_usd


class MeteredGateway:
    """`gateway`, with a meter for each model by name."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._meters: dict[str, Meter] = {}

    def meter(self, model: str) -> Meter:
        return self._meters.setdefault(model, Meter())

    def new_episode_id(self) -> str:
        return self._gateway.new_episode_id()

    async def ask(self, question: Question) -> Answer:
        """Ask once. Raises the model's last failure instead of asking it too often."""
        meter = self.meter(question.model)
        if meter.spent:
            raise meter.failure or ModelError(f"asked {MAX_CALLS} times already", kind="other")
        started = time.perf_counter()
        meter.calls += 1
        try:
            answer = await self._gateway.ask(question)
        except ServiceError as error:
            meter.calls -= isinstance(error, PASSING)
            meter.failure = error
            raise
        meter.answers.append(answer)
        meter.seconds.append(time.perf_counter() - started)
        return answer

    async def feedback(
        self, metric: str, value: bool | float, episode_id: str, tags: Mapping[str, str]
    ) -> None:
        await self._gateway.feedback(metric, value, episode_id, tags)

    async def flush(self) -> None:
        await self._gateway.flush()

    async def close(self, timeout_s: float) -> bool:
        return await self._gateway.close(timeout_s)
