"""The prompts of an episode, as the model saw them: rendered from the templates of its variant, or asked for
again by an agent that ships, which is given its recorded answers. No other agent's code is run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import lru_cache
from typing import Any

from babyai_kit.agents.interface import Message
from babyai_kit.agents.registry import AgentSpec, as_variant, shipped_agent
from babyai_kit.agents.rehearsal import Call, Rehearsal, rehearse
from babyai_kit.agents.rendering import Renderer
from babyai_kit.agents.step_prompt import step_prompt
from babyai_kit.configuration.models import is_human
from babyai_kit.configuration.project import PROJECT_CONFIG, StrPath
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import Config, Variant, load_config
from babyai_kit.environment.playback import Playback
from babyai_kit.errors import ConfigError, KitError
from babyai_kit.hostile_text import visible
from babyai_kit.runs.manifest import Manifest
from babyai_kit.runs.records import CallRecord
from babyai_kit.runs.trajectories import Trajectory

PromptData = dict[str, Any]
"""JSON: {note, steps, closing}. `steps`: for each step the messages [{role, content}, ...] of its calls,
empty if it asked nothing, None if they are not known; `closing`: those of the calls after the last step. Of
several calls a message of role "note" says which comes, and one of role "answer" what was answered. `note`:
why prompts are missing, or what to know of them; empty if there is nothing."""

PICTURE = "[picture of the view]"
Told = list[dict[str, str]]


class EpisodePrompts:
    """Of the episodes of one run. It reads configuration and agents once, and may be shared by threads."""

    def __init__(self, manifest: Manifest, *, config: StrPath = PROJECT_CONFIG) -> None:
        self._sampling = manifest.sampling
        self._config: Config | None = None
        self._unreadable = ""
        try:
            self._config = load_config(config, Settings())
        except ConfigError as error:
            self._unreadable = str(error)
        self._renderer = lru_cache(lambda name: Renderer(self._variants[name]))
        self._agent = lru_cache(shipped_agent)

    def of(self, trajectory: Trajectory, calls: Sequence[CallRecord]) -> PromptData:
        """The prompts of `trajectory`. `calls`: those recorded of it, in `calls.jsonl`."""
        try:
            told = self._of(trajectory, calls)
        except Exception as error:  # a name from a run may name anything
            told = _none(trajectory, f"The prompts cannot be shown: {error}")
        return {**told, "note": visible(" ".join(told["note"].split()))}

    @property
    def _variants(self) -> dict[str, Variant]:
        return self._config.variants if self._config else {}

    def _of(self, trajectory: Trajectory, calls: Sequence[CallRecord]) -> PromptData:
        name, model = trajectory.key.variant, trajectory.key.model
        if is_human(model):
            return _none(trajectory, "A person played, and no model was asked.")
        if not calls and (variant := self._variants.get(name)) is not None:
            if trajectory.variant_digest in variant.digests:
                return self._of_templates(trajectory, variant)
            return _none(
                trajectory,
                f"The prompt of {name} has changed since: its digest was {trajectory.variant_digest} and is "
                f"{variant.digest} now. Bring its templates in config/ back to show it.",
            )
        spec = self._agent(name)
        if spec is None:
            if calls or not self._unreadable:
                why = "its code is not the kit's, and the viewer runs no other"
                return _none(trajectory, f"The prompts of {name} cannot be shown: {why}.")
            return _none(trajectory, f"The prompts of {name} cannot be shown: {self._unreadable}")
        if any(need.partition(":")[0] == "embeddings" for need in spec.needs):
            why = "it chooses its examples by embeddings, which are not recorded"
            return _none(trajectory, f"The prompts of {name} cannot be shown: {why}.")
        return self._of_agent(trajectory, spec, calls)

    def _of_templates(self, trajectory: Trajectory, variant: Variant) -> PromptData:
        key, steps = trajectory.key, trajectory.steps
        playback = Playback(key.task, seed=key.seed, num_dists=key.num_dists)
        with closing(playback.env):
            mission = playback.mission
        renderer, told = self._renderer(variant.name), []
        for step in steps:
            prompt = step_prompt(
                mission,
                step.observation,
                steps[: step.step],
                length=key.history_length,
                dialogue=variant.dialogue,
            )
            told.append(_told(renderer.messages(prompt.arguments, prompt.earlier)))
        return {"note": "", "steps": told, "closing": []}

    def _of_agent(self, trajectory: Trajectory, spec: AgentSpec, calls: Sequence[CallRecord]) -> PromptData:
        dialogues = frozenset(name for name, variant in self._variants.items() if variant.dialogue)

        def again() -> Rehearsal:
            return asyncio.run(
                rehearse(spec.make, trajectory, calls, sampling=self._sampling, dialogues=dialogues)
            )

        with ThreadPoolExecutor(1) as pool:  # whoever calls may have an event loop in its own thread
            rehearsal = pool.submit(again).result()
        changed = not self._is_present(trajectory, spec)
        steps: list[Told | None] = [self._calls(step) for step in rehearsal.steps]
        missing = len(trajectory.steps) - len(steps)
        notes = []
        if rehearsal.failure:
            from_step = f"from step {len(steps) + 1} on" if missing else "after the last step"
            code = ", whose code has changed since," if changed else ""
            notes.append(
                f"The agent{code} does not repeat its calls {from_step}, which are not shown: "
                f"{rehearsal.failure}."
            )
        if changed and any(call.messages is None for step in rehearsal.steps for call in step):
            notes.append("The templates of the variant that it asks are the present ones.")
        return {
            "note": " ".join(notes),
            "steps": steps + [None] * missing,
            "closing": self._calls(rehearsal.closing),
        }

    def _is_present(self, trajectory: Trajectory, spec: AgentSpec) -> bool:
        """Whether the agent's code, and the templates that it asks with, are those of the episode."""
        if self._config is None:
            return trajectory.variant_digest == spec.digest
        try:
            present = self._config.with_agents([as_variant(spec, Settings())]).variants[spec.name]
        except KitError:
            return False
        return trajectory.variant_digest in present.digests

    def _calls(self, calls: Sequence[Call]) -> Told:
        """Calls as messages; those that follow each other with the same words once."""
        if len(calls) == 1:
            return self._messages(calls[0])
        told: Told = []
        before: Told | None = None
        for number, call in enumerate(calls, start=1):
            messages = self._messages(call)
            again = ", which asks the same" if messages == before else ""
            told.append({"role": "note", "content": f"Call {number} of {len(calls)}{again}"})
            told += [] if again else messages
            told.append({"role": "answer", "content": visible(call.answer.answer or "")})
            before = messages
        return told

    def _messages(self, call: Call) -> Told:
        if call.messages is None:
            return _told(self._renderer(call.variant).messages(call.arguments, call.earlier))
        return _told([(message.role, _text(message)) for message in call.messages])


def _none(trajectory: Trajectory, note: str) -> PromptData:
    return {"note": note, "steps": [None] * len(trajectory.steps), "closing": []}


def _told(messages: Sequence[tuple[str, str]]) -> Told:
    return [{"role": role, "content": visible(text)} for role, text in messages]


def _text(message: Message) -> str:
    return "\n".join([message.content, *[PICTURE] * len(message.images)])
