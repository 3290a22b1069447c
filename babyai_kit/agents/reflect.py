"""Writes a lesson after each failed episode of the train block, and is shown those of earlier runs.

Lessons go from run to run and not from episode to episode, so that many episodes can be played at once and
a run that was killed goes on with what it had read: no episode depends on when another one ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from babyai_kit.agents.chain_of_thought import ChainOfThought
from babyai_kit.agents.interface import Ending, Episode, Message
from babyai_kit.agents.lessons import AGENT, Lessons, read_lessons
from babyai_kit.agents.registry import agent
from babyai_kit.agents.text_agent import RULES, step_text
from babyai_kit.configuration.project import PROJECT_RESULTS
from babyai_kit.errors import InputError
from babyai_kit.runs.seed_blocks import TRAIN

LOOK_BACK = 16
"""Last steps that are looked at for a lesson."""

LESSON = (
    "You are not asked for an action this time: the game is over, and the mission was not fulfilled. Find "
    "out what you did wrong, and write a lesson for later games, with other missions of this kind in other "
    "rooms: one or two sentences, of use to whoever has not seen this game. Answer with the lesson alone."
)


@agent(AGENT, uses_history=True)
class Reflect(ChainOfThought):
    """Thinks and acts as chain_of_thought, with the last `most` different lessons on its task that the same
    model wrote in the runs `lessons`. One call a step, and one after a failed episode of the train block."""

    def __init__(
        self,
        episode: Episode,
        *,
        lessons: str = "",
        most: int = 10,
        results: str = "",
        read: Lessons | None = None,
    ) -> None:
        super().__init__(episode)
        if lessons:
            known = read or read_lessons(lessons, results=results or PROJECT_RESULTS)
            texts = known.of(episode.model, episode.task, episode.num_dists)
            if texts is None:
                raise InputError(
                    f"agent {episode.variant} finds no episode of {episode.task} with {episode.model} and "
                    f"num_dists {episode.num_dists} in the train block of {lessons}; leave these out, or "
                    "play them there first"
                )
            if shown := texts[-most:]:
                words = "\n".join(f"- {' '.join(text.split())}" for text in shown)
                self.form = f"Lessons from earlier games:\n{words}\n\n{self.form}"

    @staticmethod
    def prepare(*, lessons: str = "", most: int = 10, results: str = "") -> Mapping[str, Any]:
        """Read once for a whole run: the lessons of earlier ones, as they are now."""
        if most < 1:
            raise InputError(f"most must be at least 1; got {most}")
        return {"read": read_lessons(lessons, results=results or PROJECT_RESULTS)} if lessons else {}

    async def finished(self, ending: Ending) -> None:
        """Ask for the lesson. What comes of it is in the journal."""
        if ending.success or self.episode.seed not in TRAIN:
            return
        self.remember(ending.observation)
        steps = self.steps[-LOOK_BACK:]
        words = [
            f"Mission: {ending.observation.mission}",
            f"After {ending.observation.step} steps the game was over. Your last {len(steps)}, oldest first:",
            *(step_text(step, thoughts=True) for step in steps),
            f"What you saw at the end:\n{ending.observation.text}",
        ]
        await self.episode.ask(
            [Message("system", f"{RULES}\n\n{LESSON}"), Message("user", "\n\n".join(words))]
        )
