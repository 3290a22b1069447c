"""The offline player's one policy: short-sighted, a little clumsy, written by hand. It is no LLM.

It acts on what a prompt says (see `prompt`) and on nothing else: neither the variant, the task nor the grid.
The same rules serve every prompt; what a prompt leaves out (such as the history) is not available to it.

It walks towards what it needs next and looks around while it does not see it. It plans no detours,
so obstacles cost it time, and at temperature 1 it slips often: then the action is a random one.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from babyai_kit.environment.reading import Noun, SeenObject
from babyai_kit.environment.tasks import ACTIONS
from babyai_kit.local.player.prompt import Prompt

LEFT, RIGHT, FORWARD, PICK_UP, DROP, TOGGLE = ACTIONS
# Probability of a random action at temperature 1; scales with the temperature. Chosen once, so that the
# player is clearly better than chance and clearly not perfect on every task; fitted to nothing else.
SLIP = 0.6
WANDER = 0.2  # probability of a turn while looking around with the way ahead free


@dataclass(frozen=True)
class Choice:
    """An action and the one sentence of `thinking` that goes with it."""

    action: str
    thinking: str


@dataclass(frozen=True)
class _Goal:
    """What to do next: `verb` to a thing that fits one of `nouns`."""

    verb: str  # "go to", "pick up", "open", "drop beside" or "drop"
    nouns: tuple[Noun, ...] = ()

    def __str__(self) -> str:
        return " ".join([self.verb, " or ".join(f"the {noun.name}" for noun in self.nouns)]).strip()


class _Chance:
    """Random choices. With temperature 0 there are none: the first option is taken and nothing slips."""

    def __init__(self, rng: random.Random, temperature: float) -> None:
        self._rng, self._temperature = rng, temperature

    def happens(self, probability: float) -> bool:
        return self._rng.random() < min(probability * self._temperature, 1.0)

    def pick(self, options: Sequence[str]) -> str:
        if self._temperature == 0:
            return options[0]
        return options[int(self._rng.random() * len(options))]  # the same on every Python version


def choose(prompt: Prompt, rng: random.Random, temperature: float = 1.0) -> Choice:
    """Choose the next action.

    `rng` is the only source of chance; `temperature` (>= 0) scales it, 0 is greedy and deterministic.
    Never raises: a prompt without mission or view leads to looking around.
    """
    chance = _Chance(rng, temperature)
    if chance.happens(SLIP):
        action = chance.pick(ACTIONS)
        return Choice(action, f"I am not sure what to do, so I {action}.")
    goal = _goal(prompt)
    if goal is None:
        action = _look_around(prompt, chance)
        return Choice(action, f"I do not know what the mission asks now, so I {action}.")
    if goal.verb == "drop":
        action = _turn(prompt, chance) if prompt.view.blocked else DROP
        return Choice(action, f"I carry something that I do not need, so I {action}.")
    target = _nearest(prompt, goal.nouns)
    if target is None:
        action = _look_around(prompt, chance)
        return Choice(action, f"I want to {goal} and do not see it, so I {action}.")
    action = _approach(prompt, goal, target, chance)
    thing = f"the {target.colour} {target.kind} is {_where(target)}"
    return Choice(action, f"I want to {goal} and {thing}, so I {action}.")


def action_chances(prompt: Prompt) -> list[float]:
    """Of each of ACTIONS, how likely `choose` takes it at temperature 1; a turn that is tossed for counts as
    the greedy one."""
    greedy = choose(prompt, random.Random(0), temperature=0).action
    return [SLIP / len(ACTIONS) + (1 - SLIP) * (action == greedy) for action in ACTIONS]


def next_target(prompt: Prompt) -> tuple[str, SeenObject | None]:
    """What is to be done next ("" if the mission asks nothing) and to which thing, if one is known."""
    goal = _goal(prompt)
    return (goal.verb, _nearest(prompt, goal.nouns)) if goal else ("", None)


def _goal(prompt: Prompt) -> _Goal | None:
    """What the mission asks for next, as far as the view (what is carried) tells."""
    if not prompt.mission:
        return None
    carried = prompt.view.carried
    part = prompt.mission[0]
    if part.verb == "pick up" and carried and part.noun.fits(*carried) and len(prompt.mission) > 1:
        part = prompt.mission[1]  # the first part is done
    if part.verb == "go to":
        return _Goal("go to", (part.noun,))
    wanted: tuple[Noun, ...] = (part.noun,)
    if part.verb == "open":
        known = prompt.view.objects + prompt.remembered
        doors = [t for t in known if t.kind == "door" and part.noun.fits(t.colour, t.kind)]
        if any(door.state != "locked" for door in doors):
            return _Goal("open", (part.noun,))
        colours: set[str | None] = {door.colour for door in doors} or {part.noun.colour}
        wanted = tuple(Noun(colour, "key") for colour in sorted(colours, key=str))
    if carried is None:
        return _Goal("pick up", wanted)
    if not any(noun.fits(*carried) for noun in wanted):
        return _Goal("drop")
    if part.verb == "open":
        return _Goal("open", (part.noun,))
    if part.beside:
        return _Goal("drop beside", (part.beside,))
    return None  # a lone "pick up" that is done: there is nothing left to do


def _nearest(prompt: Prompt, nouns: tuple[Noun, ...]) -> SeenObject | None:
    """The fitting thing fewest steps away; what is in view goes before what is remembered."""
    for things in (prompt.view.objects, prompt.remembered):
        fitting = [t for t in things if any(noun.fits(t.colour, t.kind) for noun in nouns)]
        if fitting:
            return min(fitting, key=lambda t: abs(t.right) + abs(t.forward))
    return None


def _approach(prompt: Prompt, goal: _Goal, target: SeenObject, chance: _Chance) -> str:
    """Act on the target where that is possible, else one move towards it."""
    right, forward = target.place
    blocked = prompt.view.blocked
    if goal.verb == "drop beside":
        if not blocked and abs(right) + abs(forward - 1) == 1:
            return DROP
        if abs(right) + abs(forward) == 1:  # too close to drop: step aside
            return FORWARD if right and not blocked else _turn(prompt, chance)
    elif (right, forward) == (0, 1):
        return {"pick up": PICK_UP, "open": TOGGLE}.get(goal.verb, FORWARD)
    if forward > 0 and not blocked:
        return FORWARD
    if right == 0:
        return _turn(prompt, chance)  # behind, or something stands between
    side, other = (RIGHT, LEFT) if right > 0 else (LEFT, RIGHT)
    if prompt.last_action == other and not blocked:
        return FORWARD  # do not undo the last turn: it was a step around an obstacle
    return side


def _look_around(prompt: Prompt, chance: _Chance) -> str:
    if prompt.view.blocked or chance.happens(WANDER):
        return _turn(prompt, chance)
    return FORWARD


def _turn(prompt: Prompt, chance: _Chance) -> str:
    """Any turn but the one that undoes the last action."""
    turns = {LEFT: (LEFT,), RIGHT: (RIGHT,)}.get(prompt.last_action or "", (RIGHT, LEFT))
    return chance.pick(turns)


def _where(thing: SeenObject) -> str:
    parts = []
    if thing.right:
        parts.append(f"{_steps(thing.right)} {'right' if thing.right > 0 else 'left'}")
    if thing.forward:
        parts.append(f"{_steps(thing.forward)} {'forward' if thing.forward > 0 else 'behind'}")
    return " and ".join(parts) or "here"


def _steps(number: int) -> str:
    return "1 step" if abs(number) == 1 else f"{abs(number)} steps"
