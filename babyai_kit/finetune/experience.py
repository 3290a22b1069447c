"""Episodes of anybody, shown as a variant of `config/` would have been asked at each of their steps.

So a variant learns from an explorer, a person, a teacher's model or another variant. The journal alone says
what they did; what they were asked themselves, and whether ClickHouse has it, does not matter.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from babyai_kit.agents.interface import MakeAgent
from babyai_kit.agents.registry import find_agent
from babyai_kit.agents.step_prompt import answer_text, step_prompt
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.variants import Config, Variant
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import InputError, unknown
from babyai_kit.finetune.episode_sources import SourceEpisode, SourceStep
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


@dataclass(frozen=True)
class Experience:
    """What a player did, to be told under the prompt of another variant."""

    player: Variant
    prompt: Variant
    episodes: list[SourceEpisode]
    """Finished ones; their steps have no prompt yet."""
    lengths: Mapping[str, int]
    """By run, the history length of prompts where the player's own says nothing."""

    def told(self, episode: SourceEpisode) -> SourceEpisode:
        """`episode` with its steps as the variant would have been asked, had it taken these and no others."""
        row, steps = episode.row, episode.steps
        mission = Playback(row.task, seed=row.seed, num_dists=row.num_dists).mission
        length = self.lengths.get(row.run, row.history_length)
        asked = []
        for number, step in enumerate(steps):
            prompt = step_prompt(
                mission, step.observation, steps[:number], length=length, dialogue=self.prompt.dialogue
            )
            asked.append(replace(step, arguments=prompt.arguments, earlier=prompt.earlier))
        return replace(episode, steps=tuple(asked))


async def experience(
    runs: Sequence[str], player: str, prompt: Variant, *, results: StrPath, history_length: int | None = None
) -> Experience:
    """The finished episodes of `player` in `runs`, for the variant `prompt` to learn from.

    `history_length`: of the prompts where the player's says nothing, since it was shown no history; None:
    that of the run's latest plan. The answer of a step is the action that was executed, with the player's
    thought where the prompt asks for one, and None if it had none. Raises InputError if no run has such a
    player.
    """
    opened = [Run.open(run, results=results) for run in runs]
    episodes = [e for run in opened for e in await asyncio.to_thread(_episodes, run, player, prompt)]
    players = {name: None for run in opened for plan in run.manifest.plans for name in plan.variants}
    if not episodes and player not in players:
        raise InputError(unknown("variant", player, players))
    lengths = {
        run.name: _latest_length(run.manifest, player) if history_length is None else history_length
        for run in opened
        if player in run.manifest.without_history
    }
    shown = len(lengths) < len(opened)
    return Experience(Variant(player, "", "", {}, chats=True, history=shown), prompt, episodes, lengths)


def prompt_variant(config: Config, name: str) -> Variant:
    """Raises InputError if `config` has no such variant."""
    if name not in config.variants or config.variants[name].chats:
        known = [known for known, variant in config.variants.items() if not variant.chats]
        raise InputError(unknown("prompt", name, known))
    return config.variants[name]


def _episodes(run: Run, player: str, prompt: Variant) -> list[SourceEpisode]:
    records = run.step_records()
    found = []
    for row in run.episode_records().values():
        if row.variant != player or row.status != "ok":
            continue
        steps = tuple(
            SourceStep(
                inference_id=record.inference_id,
                step=record.step,
                arguments={},
                answer=_answer(record, prompt),
                action=record.action,
                valid=record.valid,
                observation=record.observation,
            )
            for record in records.get(row.episode_id, [])
        )
        complete = [step.step for step in steps] == list(range(row.episode_length))
        found.append(SourceEpisode(row, steps, complete=complete, orphans=0))
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
