"""What an agent's call asks for, before anybody answers it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from babyai_kit.agents.interface import Message, Turn
from babyai_kit.configuration.dialects import Dialect
from babyai_kit.errors import InputError
from babyai_kit.experiment.asking import Asker, Line, digest
from babyai_kit.experiment.retries import Backoff, retrying
from babyai_kit.gateway.protocol import Question
from babyai_kit.runs.plan import Sampling
from tests.gateway.test_protocol import TurningGateway, session_on
from tests.runs.test_records import KEY

ARGUMENTS: dict[str, Any] = {"mission": "go", "observation": "a key", "history": []}
TURN = Turn(ARGUMENTS, '{"action": "drop"}')


def asker(gateway: TurningGateway) -> Asker:
    line = Line(
        session_on(gateway), Sampling(), Dialect(), lambda urgency: nullcontext(), retrying(Backoff())
    )
    return Asker(
        line,
        replace(KEY, model="gpt-4o-mini-2024-07-18"),
        variant_digest="d",
        episode_id="e",
        tags={},
        served_as="",
        pinned=False,
        chats=True,
        record=None,
    )


async def test_an_agent_may_ask_a_dialogue() -> None:
    gateway = TurningGateway()
    await asker(gateway)(arguments=ARGUMENTS, earlier=[TURN], variant="dialogue")
    (question,) = gateway.questions
    assert (question.variant, question.arguments, question.earlier) == ("dialogue", ARGUMENTS, (TURN,))


async def test_earlier_turns_of_messages_are_messages() -> None:
    with pytest.raises(InputError, match="put earlier turns of a chat into messages"):
        await asker(TurningGateway())([Message("user", "Go.")], earlier=[TURN])


def test_a_call_is_told_apart_by_its_earlier_turns() -> None:
    def of(*earlier: Turn) -> str:
        return digest(Question("baseline", "e", {"mission": "go"}, earlier))

    assert len({of(), of(TURN), of(TURN, TURN), of(Turn(ARGUMENTS, "{}"))}) == 4
    # As runs from before there were dialogues have it, which are continued.
    assert of() == "b2d208d3d175"
