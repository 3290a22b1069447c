"""A second, minimal gateway behind the protocol: all that a run needs of one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from babyai_kit import run_experiment
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import GatewayError, ModelError
from babyai_kit.experiment.retries import Backoff
from babyai_kit.gateway.protocol import Answer, EvaluatesWorkflows, FineTunes, ListsInferences, Question
from babyai_kit.gateway.session import Session
from babyai_kit.gateway.tensorzero_client import TensorZeroGateway
from tests.support.project import CONFIG


@dataclass
class TurningGateway:
    """Answers every question with `turn left`, after failures that a test asks for; stores nothing."""

    failures: list[Exception] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    feedbacks: list[tuple[str, str]] = field(default_factory=list)
    closed: bool = False
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def new_episode_id(self) -> str:
        return f"episode-{next(self.numbers)}"

    async def ask(self, question: Question) -> Answer:
        if self.failures and not question.dryrun:
            raise self.failures.pop()
        self.questions.append(question)
        number = f"inference-{next(self.numbers)}"
        return Answer('{"action": "turn left"}', {"action": "turn left"}, 10, 5, None, number)

    async def feedback(
        self, metric: str, value: bool | float, episode_id: str, tags: Mapping[str, str]
    ) -> None:
        self.feedbacks.append((episode_id, metric))

    async def flush(self) -> None:
        pass

    async def close(self, timeout_s: float) -> bool:
        self.closed = True
        return True


def session_on(gateway: TurningGateway, **settings: str) -> Session:
    configured = Settings(model="gpt-4o-mini-2024-07-18", **settings)  # type: ignore[arg-type]
    config = load_config(CONFIG, configured)
    return Session(
        gateway, config, configured, clickhouse_url="http://127.0.0.1:9/nowhere", store_timeout_s=1.0
    )


async def test_a_run_needs_no_more_than_the_protocol(tmp_path: Path, capsys) -> None:
    gateway = TurningGateway()
    session = session_on(gateway)
    episodes = await run_experiment(
        session, "r", ["baseline"], ["goto"], [1, 2], results=tmp_path, progress=False
    )
    await session.close()
    assert list(episodes["status"]) == ["ok", "ok"]
    assert list(episodes["episode_length"]) == [64, 64]
    # 10 tokens at $0.15 and 5 at $0.60 per million, 64 times.
    assert episodes["cost_usd"].tolist() == pytest.approx([64 * 4.5e-6] * 2)
    played = [q for q in gateway.questions if not q.dryrun]
    assert [q.tags["step"] for q in played if q.tags["seed"] == "1"] == [str(i) for i in range(64)]
    assert {episode for episode, _ in gateway.feedbacks} == set(episodes["episode_id"])
    assert gateway.closed
    assert "Not compared with ClickHouse" in capsys.readouterr().out


async def test_no_secret_leaves_in_an_error(tmp_path: Path) -> None:
    gateway = TurningGateway(failures=[ModelError("bad key sk-1; set it", kind="key refused", fatal=True)])
    session = session_on(gateway, openai_api_key="sk-1")
    with pytest.raises(ModelError, match=r"bad key \*\*\*; set it"):
        await run_experiment(session, "r", ["baseline"], ["goto"], [1], results=tmp_path, progress=False)


async def test_a_failure_that_passes_leaves_no_trace(tmp_path: Path) -> None:
    gateway = TurningGateway([ModelError("away", kind="connection", retryable=True) for _ in range(3)])
    session = session_on(gateway)
    episodes = await run_experiment(
        session,
        "r",
        ["baseline"],
        ["goto"],
        [1],
        results=tmp_path,
        progress=False,
        backoff=Backoff(first_wait_s=0.001),
    )
    assert list(episodes["status"]) == ["ok"]
    assert not gateway.failures


async def test_what_a_gateway_cannot_do_is_reported() -> None:
    session = session_on(TurningGateway())
    with pytest.raises(GatewayError, match="does not support workflow evaluations") as error:
        await session.start_evaluation({"act": "baseline"}, "p", "n", {})
    assert error.value.kind == "unsupported"
    with pytest.raises(GatewayError, match="does not support listing inferences"):
        await session.stored_inferences("baseline", "r")
    with pytest.raises(GatewayError, match="does not support fine-tuning"):
        await session.fill_dataset("d", [])


@pytest.mark.parametrize("ability", [EvaluatesWorkflows, ListsInferences, FineTunes])
def test_tensorzero_can_do_all_of_it(ability: type) -> None:
    assert issubclass(TensorZeroGateway, ability)
    assert not issubclass(TurningGateway, ability)
