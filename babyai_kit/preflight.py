"""One call per model before the plan starts, since a wrong name or key looks like a passing fault.

Knows how to ask; the session knows whom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from babyai_kit.agents import gateway_input
from babyai_kit.errors import ServiceError
from babyai_kit.session import Session

TRIES = 3
WAIT_S = 1.0


async def preflight(session: Session, variants: Sequence[str], max_tokens: int) -> None:
    """Ask each model behind `variants` once, unrecorded.

    Raises the last ServiceError, with the model's name and what to look at, if three tries fail.
    """
    asked: set[str] = set()
    for name in variants:
        model = session.config.variants[name].model
        if model not in asked:
            asked.add(model)
            await _ask(session, name, model, max_tokens)


async def _ask(session: Session, variant: str, model: str, max_tokens: int) -> None:
    arguments = gateway_input("go to the red ball", "a red ball 1 step forward", [])
    for attempt in range(1, TRIES + 1):
        try:
            await session.infer(
                variant, session.new_episode_id(), arguments, max_tokens=max_tokens, dryrun=True
            )
            return
        except ServiceError as error:
            if error.fatal or not error.retryable or attempt == TRIES:
                raise type(error)(
                    f"model {model!r} does not answer, so nothing was run; check AGENT_MODEL, the key and "
                    f"the server: {error}",
                    kind=error.kind,
                    fatal=True,
                ) from None
        await asyncio.sleep(WAIT_S)
