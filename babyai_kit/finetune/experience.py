"""Episodes of anybody, shown as a variant of `config/` would have been asked at each of their steps.

So a variant learns from an explorer, a person, a teacher's model or another variant. The journal alone says
what they did; what they were asked themselves, and whether ClickHouse has it, does not matter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from babyai_kit.agents.interface import MakeAgent
from babyai_kit.agents.registry import find_agent
from babyai_kit.agents.step_prompt import answer_text
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.variants import Config, Variant
from babyai_kit.errors import InputError, unknown
from babyai_kit.finetune.episode_sources import SourceEpisode, SourceStep, journal_steps
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.records import StepRecord
from babyai_kit.runs.run import Run


def player_name(player: str | MakeAgent) -> str:
    """What the column `variant` calls it: a variant, an agent, or whatever else a journal names.

    Raises InputError for parameters that the agent does not have.
    """
    if not isinstance(player, str):
        return find_agent(player).name
    try:
        return find_agent(player).name
    except InputError:
        if ":" in player:
            raise
        return player  # a variant, or an agent whose code is gone


async def experience(
    runs: Sequence[str], player: str, prompt: Variant, *, results: StrPath, history_length: int | None = None
) -> tuple[Variant, list[SourceEpisode]]:
    """The `player`, and its finished episodes in `runs` as the variant `prompt` would have been asked.

    `history_length`: of the prompts where the player's says nothing, since it was shown no history; None:
    that of the run's latest plan. The answer of a step is the action that was executed, with the player's
    thought where the prompt asks for one, and None if it had none. Raises InputError if no run has such a
    player.
    """
    opened = [Run.open(run, results=results) for run in runs]
    episodes = [
        episode
        for run in opened
        for episode in await asyncio.to_thread(_episodes, run, player, prompt, history_length)
    ]
    players = {name: None for run in opened for plan in run.manifest.plans for name in plan.variants}
    if not episodes and player not in players:
        raise InputError(unknown("variant", player, players))
    shown = any(player not in run.manifest.without_history for run in opened)
    return Variant(player, "", "", {}, chats=True, history=shown), episodes


def prompt_variant(config: Config, name: str) -> Variant:
    """Raises InputError if `config` has no such variant."""
    if name not in config.variants or config.variants[name].chats:
        known = [known for known, variant in config.variants.items() if not variant.chats]
        raise InputError(unknown("prompt", name, known))
    return config.variants[name]


def _episodes(run: Run, player: str, prompt: Variant, history_length: int | None) -> list[SourceEpisode]:
    if history_length is None:
        history_length = _latest_length(run.manifest, player)
    steps = run.step_records()
    found = []
    for row in run.episode_records().values():
        if row.variant != player or row.status != "ok":
            continue
        records = steps.get(row.episode_id, [])
        length = history_length if player in run.manifest.without_history else row.history_length
        asked = journal_steps(replace(row, history_length=length), records, dialogue=prompt.dialogue)
        answered = tuple(
            replace(step, answer=_answer(record, prompt)) for step, record in zip(asked, records, strict=True)
        )
        complete = [step.step for step in answered] == list(range(row.episode_length))
        found.append(SourceEpisode(row, answered, complete=complete, orphans=0))
    return found


def _latest_length(manifest: Manifest, player: str) -> int:
    plans = [plan for plan in manifest.plans if player in plan.variants] or [manifest.plan]
    return plans[-1].history_length


def _answer(record: StepRecord, prompt: Variant) -> str | None:
    if not prompt.asks_reasoning:
        return answer_text(record.action)
    if not record.thinking:
        return None
    return json.dumps({"thinking": record.thinking, "action": record.action})


def check_thoughts(steps: Iterable[SourceStep], prompt: Variant) -> None:
    """Raises InputError if the prompt asks for thoughts and no valid step of `steps` has one."""
    valid = [step for step in steps if step.valid]
    if valid and all(step.answer is None for step in valid):
        raise InputError(
            f"the prompt {prompt.name} asks for reasoning, and these steps have none; choose a prompt "
            "without, such as baseline or history"
        )
