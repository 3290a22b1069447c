"""What is learned from episodes: the steps that a success needed, as examples in a variant's prompts."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rollouts import Episode, Prompts

from babyai_kit.agents.step_prompt import answer_text
from babyai_kit.environment import needed_steps
from babyai_kit.local.language_model.packing import Example
from babyai_kit.local.language_model.tokenizer import ChatTokenizer

Lesson = tuple[Episode, tuple[int, ...]]
"""An episode and the steps (from 0) that are learned of it."""
BestLessons = dict[tuple[str, int], Lesson]
"""By task and seed."""


def keep_best(best: BestLessons, episodes: Iterable[Episode]) -> BestLessons:
    """`best`, updated by every success among `episodes` that needs fewer steps."""
    result = dict(best)
    for episode in episodes:
        if episode.success:
            lesson = needed_of(episode)
            key = episode.task, episode.seed
            if key not in result or len(lesson[1]) < len(result[key][1]):
                result[key] = lesson
    return result


def needed_of(episode: Episode) -> Lesson:
    needed = needed_steps(episode.task, episode.seed, [step.action for step in episode.steps])
    return episode, tuple(number for number, need in enumerate(needed) if need)


def all_of(episode: Episode) -> Lesson:
    return episode, tuple(range(len(episode.steps)))


def examples_of(lessons: Iterable[Lesson], prompts: Prompts, tokenizer: ChatTokenizer) -> list[Example]:
    """As tokens, each once. What a prompt tells of earlier steps is those that are learned, too."""
    examples: dict[Example, None] = {}
    for episode, numbers in lessons:
        for number in numbers:
            step = episode.steps[number]
            earlier = [episode.steps[n] for n in numbers if n < number]
            messages = prompts.of(episode.mission, earlier, step.observation)
            prompt = tokenizer.encode_chat(messages)
            answer = [*tokenizer.encode(answer_text(step.label)), tokenizer.end]
            examples[Example((*prompt, *answer), len(prompt))] = None
    return list(examples)


def shuffled(lessons: Sequence[Lesson], seed: int) -> list[Lesson]:
    """A control: the same steps, with the actions to be learned shuffled among all of them."""
    labels = [episode.steps[number].label for episode, numbers in lessons for number in numbers]
    random.Random(seed).shuffle(labels)
    left = iter(labels)
    result = []
    for episode, numbers in lessons:
        steps = list(episode.steps)
        for number in numbers:
            steps[number] = replace(steps[number], label=next(left))
        result.append((replace(episode, steps=tuple(steps)), numbers))
    return result
