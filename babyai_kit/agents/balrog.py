"""Runs agents written for BALROG, unchanged: objects with `reset()`, `prompt_builder` and
`act(obs, prev_action=...)`, which ask by `client.generate(messages)`.

As in BALROG's evaluator, an answer counts only if it is an action word for word, the answer and not what was
executed is handed on as `prev_action`, and the next observation tells of an answer that did not count. Each
episode has an object of its own and a thread of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from babyai_kit.agents.agent_file import load_file, member, name_of
from babyai_kit.agents.balrog_convention import Convention, own_agent, present_convention
from babyai_kit.agents.code_digest import code_digest
from babyai_kit.agents.episode_thread import EpisodeThread
from babyai_kit.agents.interface import Episode, Message, Move, Observation, Reply, Role
from babyai_kit.environment import ACTIONS, expert_actions
from babyai_kit.environment.balrog_compat import BalrogObservation, make_env
from babyai_kit.runs.seed_blocks import TRAIN

PREFIX = "balrog:"
"""Of the names of such agents."""


@dataclass(frozen=True)
class BalrogSettings:
    """What BALROG configures of an agent; its defaults."""

    max_text_history: int = 16
    """Observations whose text is shown, 0 or more."""
    max_image_history: int = 0
    """Observations whose image is shown, 0 or more; from 1 on the model must see images."""
    max_cot_history: int = 1
    """Actions in whose place the thoughts before them are shown, 0 or more."""
    remember_cot: bool = True
    max_icl_history: int = 1000
    """Messages of demonstrations, for BALROG's few_shot."""
    feedback_on_invalid_action: bool = True
    """Whether an observation tells of an answer before it that was no action."""


@dataclass(frozen=True, repr=False)
class BalrogAgentMaker:
    """Makes an agent for every episode. See `balrog_agent`; the parameters are those of BalrogSettings."""

    made: Callable[..., Any]
    convention: Convention
    agent_name: str

    def __call__(
        self,
        episode: Episode,
        *,
        max_text_history: int = BalrogSettings.max_text_history,
        max_image_history: int = BalrogSettings.max_image_history,
        max_cot_history: int = BalrogSettings.max_cot_history,
        remember_cot: bool = BalrogSettings.remember_cot,
        max_icl_history: int = BalrogSettings.max_icl_history,
        feedback_on_invalid_action: bool = BalrogSettings.feedback_on_invalid_action,
    ) -> BalrogAgent:
        settings = BalrogSettings(
            max_text_history,
            max_image_history,
            max_cot_history,
            bool(remember_cot),
            max_icl_history,
            bool(feedback_on_invalid_action),
        )
        return BalrogAgent(episode, self.made, self.convention, settings)

    def needs(self, max_image_history: int = 0, **_: Any) -> tuple[str, ...]:
        """What the model must be able to do."""
        return ("images",) if max_image_history else ()

    def __repr__(self) -> str:
        # Of an object without a file this is its code, whose digest tells agents apart.
        return f"{type(self).__name__}({code_digest(self.made, self.convention.source)})"


class BalrogAgent:
    """One episode of an agent written for BALROG."""

    def __init__(
        self, episode: Episode, made: Callable[..., Any], convention: Convention, settings: BalrogSettings
    ) -> None:
        self._episode, self._made = episode, made
        self._convention, self._settings = convention, settings
        self._thread: EpisodeThread[Sequence[Message], Reply] = EpisodeThread(episode.variant)
        self._agent: Any = None
        self._given: Any = None

    async def act(self, observation: Observation) -> Move:
        return await self._thread.run(lambda: self._act(observation), self._episode.ask)

    def _act(self, observation: Observation) -> Move:
        if self._agent is None:
            self._agent = self._begun()
        text, past = observation.text, observation.past
        if past and not past.valid and self._settings.feedback_on_invalid_action:
            text = f"\n\n{invalid_notice(past.action)}\n\nObservation:\n{text}"
        observed = BalrogObservation(observation.mission, text, observation.picture)
        response = self._agent.act(observed, prev_action=self._given)
        self._given = response.completion
        reasoning = getattr(response, "reasoning", None)
        return Move(
            self._given if isinstance(self._given, str) else "",
            reasoning if isinstance(reasoning, str) and reasoning else None,
        )

    def _begun(self) -> Any:
        settings, convention, made = self._settings, self._convention, self._made
        builder = convention.prompt_builder(
            max_text_history=settings.max_text_history,
            max_image_history=settings.max_image_history,
            max_cot_history=settings.max_cot_history,
        )
        thread, model, response = self._thread, self._episode.model, convention.response

        def generate(messages: Sequence[Any]) -> Any:
            reply = thread.ask(as_messages(messages))
            tokens = reply.input_tokens or 0, reply.output_tokens or 0
            return response(model, reply.text.strip(), reply.finish_reason, *tokens, None)

        agent = made(lambda: convention.client(model, generate), builder, **_extras(made, settings, model))
        agent.reset()
        agent.prompt_builder.update_instruction_prompt(convention.instruction(self._episode.mission))
        if hasattr(agent, "update_icl_observation"):
            _demonstrate(agent, self._episode)
        return agent


def balrog_agent(made: str | Callable[..., Any], *, name: str | None = None) -> BalrogAgentMaker:
    """An agent written for BALROG, for `run_experiment(agents=[...])`; a `partial` of it sets parameters.

    `made`: a class or function that takes a client factory and a prompt builder (and `config` or
    `max_icl_history`, if it names them); `path/to/custom.py` or `path/to/custom.py:Class`; or the name of one
    of BALROG's own, such as chain_of_thought. `name`: as tables call it. Raises InputError for what is none.
    """
    convention = present_convention()
    found = _at(made, convention) if isinstance(made, str) else made
    if not name:
        name = getattr(found, "agent_name", None) or (
            PREFIX + made if isinstance(made, str) else name_of(found)
        )
    return BalrogAgentMaker(found, convention, name)


def invalid_notice(action: str) -> str:
    """What an observation says after an answer that was no action. `action`: what was executed instead."""
    return f"Your last answer named no action that exists. {action!r} was carried out in its place."


def as_messages(messages: Sequence[Any]) -> tuple[Message, ...]:
    """The messages of an agent written for BALROG, in the kit's form.

    Raises ValueError for none, another role, content that is no text, or an attachment that is no image.
    """
    if not messages:
        raise ValueError("generate() was given no messages")
    return tuple(_message(message, first=index == 0) for index, message in enumerate(messages))


def _message(message: Any, *, first: bool) -> Message:
    if message.role not in ("system", "user", "assistant"):
        raise ValueError(f"{message.role!r} is not a role of a message; use system, user or assistant")
    if not isinstance(message.content, str):
        raise ValueError(f"the content of a message is {type(message.content).__name__}, which is no text")
    # Only a first message can be the system's; a later one keeps its place.
    role: Role = "user" if message.role == "system" and not first else message.role
    attachment = getattr(message, "attachment", None)
    if attachment is None:
        return Message(role, message.content)
    image = attachment if isinstance(attachment, Image.Image) else Image.fromarray(np.asarray(attachment))
    return Message(role, message.content, (np.asarray(image.convert("RGB")),))


class _Config(dict[str, Any]):
    """Settings by attribute and by key, as BALROG's configuration has them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _extras(made: Callable[..., Any], settings: BalrogSettings, model: str) -> dict[str, Any]:
    """What the agent takes beside a client and a prompt builder."""
    values = asdict(settings)
    feedback = values.pop("feedback_on_invalid_action")
    config = _Config(
        agent=_Config(values),
        client=_Config(model_id=model),
        eval=_Config(feedback_on_invalid_action=feedback),
    )
    there = {"config": config, "max_icl_history": settings.max_icl_history}
    return {name: there[name] for name in inspect.signature(made).parameters if name in there}


def _demonstrate(agent: Any, episode: Episode) -> None:
    """Show BALROG's few_shot one episode of the expert, of the train block and not the present one."""
    seed = episode.random.choice([seed for seed in TRAIN if seed != episode.seed])
    env = make_env(episode.task, episode.num_dists)
    observation, _ = env.reset(seed=seed)
    agent.update_icl_observation(observation)
    for number in expert_actions(env.unwrapped):
        observation = env.step(ACTIONS[number])[0]
        agent.update_icl_action(ACTIONS[number])
        agent.update_icl_observation(observation)
    agent.wrap_episode()


def _at(place: str, convention: Convention) -> Callable[..., Any]:
    path, _, attribute = (place, "", "") if place.endswith(".py") else place.rpartition(":")
    if not path.endswith(".py"):
        return own_agent(place)
    return member(load_file(path, convention.names_for_a_file()), attribute, PREFIX + place)
