"""From the chosen episodes to examples: which of their steps are learned from, and in what form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import NamedTuple

from babyai_kit.agents.rendering import Messages, Renderer
from babyai_kit.configuration.variants import Variant
from babyai_kit.environment import needed_steps
from babyai_kit.finetune.episode_sources import SourceEpisode, SourceStep
from babyai_kit.finetune.experience import Experience, check_thoughts


@dataclass(frozen=True)
class Example:
    """One step to learn from: what the model was shown and what it answered."""

    prompt: Messages
    answer: str
    episode_id: str
    inference_id: str
    run: str
    task: str
    seed: int
    step: int
    """From 0."""


class Stage(NamedTuple):
    """What one rule left."""

    stage: str
    episodes: int
    steps: int


def make_examples(
    episodes: Sequence[SourceEpisode],
    variant: Variant,
    *,
    drop_detours: bool,
    experience: Experience | None = None,
) -> tuple[tuple[Example, ...], list[Stage]]:
    """The examples among the steps of `episodes`, in their order, and what each rule on steps left.

    `experience`: what the episodes are of, if `variant` did not play them; their detours are then left out of
    the prompts, too. Raises InputError if `variant` needs a thought and no step has one.
    """
    steps = [(e, s) for e in episodes for s in e.steps]
    orphans = sum(e.orphans for e in episodes)
    stages = [_count(f"orphans left out ({orphans})", [e.row.episode_id for e, _ in steps])]
    if drop_detours:
        episodes = [replace(e, steps=_needed(e)) for e in episodes]
        steps = [(e, s) for e in episodes for s in e.steps]
        stages.append(_count("without detours", [e.row.episode_id for e, _ in steps]))
    if experience:
        steps = [(e, s) for e in map(experience.told, episodes) for s in e.steps]
    renderer = Renderer(variant)
    steps = [(e, s) for e, s in steps if s.valid]
    stages.append(_count("valid answers", [e.row.episode_id for e, _ in steps]))
    if experience and variant.asks_reasoning:
        check_thoughts((s for _, s in steps), variant)
        steps = [(e, s) for e, s in steps if s.answer is not None]
        stages.append(_count("with a thought", [e.row.episode_id for e, _ in steps]))
    examples = [
        Example(
            prompt=(
                renderer.messages(step.arguments, step.earlier) if step.messages is None else step.messages
            ),
            answer=step.answer or "",
            episode_id=episode.row.episode_id,
            inference_id=step.inference_id,
            run=episode.row.run,
            task=episode.row.task,
            seed=episode.row.seed,
            step=step.step,
        )
        for episode, step in steps
    ]
    unique: dict[tuple[Messages, str], Example] = {}
    for example in examples:
        unique.setdefault((example.prompt, example.answer), example)
    stages.append(_count("duplicates removed", [e.episode_id for e in unique.values()]))
    return tuple(unique.values()), stages


def _count(stage: str, episode_ids: Sequence[str]) -> Stage:
    """Of a stage whose steps belong to these episodes, an id for each step."""
    return Stage(stage, len(set(episode_ids)), len(episode_ids))


def _needed(episode: SourceEpisode) -> tuple[SourceStep, ...]:
    """The steps that the episode's success needed."""
    row, steps = episode.row, episode.steps
    actions = {step.step: step.action for step in steps}
    numbers = list(actions)
    needed = needed_steps(row.task, row.seed, list(actions.values()), num_dists=row.num_dists)
    wanted = set(compress(numbers, needed))
    return tuple(step for step in steps if step.step in wanted)
