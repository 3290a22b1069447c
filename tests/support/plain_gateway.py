"""A gateway that has only what a run needs and answers by a function of the test; it stores nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from babyai_kit.configuration.dialects import Dialect
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.experiment.backlog import divide
from babyai_kit.experiment.budget import Budget, Limits
from babyai_kit.experiment.estimate import forecast_of
from babyai_kit.experiment.lane import Lane
from babyai_kit.experiment.live_episode import PlannedEpisode
from babyai_kit.experiment.pace import Pace
from babyai_kit.experiment.patience import Backoff
from babyai_kit.experiment.progress import Progress
from babyai_kit.experiment.runner import Runner
from babyai_kit.gateway.protocol import Answer, Question
from babyai_kit.gateway.session import Session
from babyai_kit.runs.journal import Journal, read_episodes, read_steps
from babyai_kit.runs.plan import Sampling, make_plan
from tests.support.project import CONFIG

TURN = '{"action": "turn left"}'


def answer(
    raw: str | None = TURN,
    *,
    finish_reason: str = "stop",
    input_tokens: int | None = 10,
    output_tokens: int | None = 5,
    cost_usd: float | None = None,
) -> Answer:
    """An answer as a gateway would pass it on."""
    try:
        parsed = json.loads(raw or "")
    except ValueError:
        parsed = None
    number = f"inference-{next(_NUMBERS)}"
    return Answer(raw, parsed, input_tokens, output_tokens, cost_usd, number, finish_reason)


_NUMBERS = itertools.count()


@dataclass
class PlainGateway:
    """`reply(question)` is the answer, or the failure that is raised; a dry run is always answered."""

    reply: Callable[[Question], Answer | Exception] = lambda question: answer()
    questions: list[Question] = field(default_factory=list)
    """What was asked, failures included."""

    def new_episode_id(self) -> str:
        return f"episode-{next(_NUMBERS)}"

    async def ask(self, question: Question) -> Answer:
        if question.dryrun:
            return answer()
        self.questions.append(question)
        reply = self.reply(question)
        if isinstance(reply, Exception):
            raise reply
        return reply

    async def feedback(
        self, metric: str, value: bool | float, episode_id: str, tags: Mapping[str, str]
    ) -> None:
        pass

    async def flush(self) -> None:
        pass

    async def close(self, timeout_s: float) -> bool:
        return True

    def session(self, model: str = "gpt-4o-mini-2024-07-18") -> Session:
        """A session on it; its ClickHouse is away, so that nothing is reconciled."""
        settings = Settings(model=model)
        return Session(
            self, load_config(CONFIG, settings), settings, clickhouse_url="http://127.0.0.1:9/nowhere"
        )


async def carry_out(
    gateway: PlainGateway,
    folder: Path,
    *,
    seeds: Iterable[int] = (1,),
    variants: Sequence[str] = ("baseline",),
    backoff: Backoff,
    max_concurrency: int = 50,
    requests_per_minute: float | None = None,
    stop_after_invalid: int = 0,
) -> Runner:
    """The episodes of `goto` that `folder` lacks, carried out without preflight and reconciliation."""
    session = gateway.session()
    plan = make_plan(session.config, run="r", variants=variants, tasks=["goto"], seeds=seeds)
    keys = plan.keys({name: variant.model for name, variant in session.config.variants.items()})
    with Journal(folder) as journal:
        backlog = divide(
            session.config,
            keys,
            read_episodes(folder),
            read_steps(folder),
            {},
            run_id="r",
            new_episode_id=session.new_episode_id,
        )
        forecast = forecast_of(session.config, backlog, Sampling())
        with Progress(len(keys), backlog.done, forecast, show=False) as bar:
            lane = Lane(
                "",
                max_concurrency=max_concurrency,
                backoff=backoff,
                pace=Pace(requests_per_minute, backoff),
                budgets=(Budget(Limits()),),
                say=bar.say,
                stop_after_invalid=stop_after_invalid,
                max_tokens=Sampling().max_tokens,
            )
            lanes = {key.model: lane for key in keys}
            runner = Runner(session, journal, bar, run_id="r", sampling=Sampling(), lanes=lanes)

            async def admit(lane: Lane) -> list[PlannedEpisode]:
                lane.dialect = Dialect()
                return backlog.owed

            await runner.all({key.model for key in keys}, admit)
    return runner
