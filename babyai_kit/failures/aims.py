"""What a mission still asks for, and which objects it lets the agent take.

Covers minigrid's instructions: those of the five tasks and of its other levels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from minigrid.core.world_object import Door, Key, WorldObj
from minigrid.envs.babyai.core import verifier

from babyai_kit.environment.text_env import TextEnv


@dataclass(frozen=True)
class Aim:
    """What is to be done next. Equal aims are one stage of the mission."""

    stage: str
    """`go to`, `pick up`, `put next to`, `open` or `get the key for`; with "and" where any may be next."""
    objects: tuple[str, ...]
    """What to do it with, as the observation names it ("red key"), sorted."""


def aim(env: TextEnv) -> Aim:
    """What the mission asks for next, in the present state."""
    targets = list(_next(env.instrs, env))
    stages = dict.fromkeys(stage for stage, _ in targets)
    return Aim(" and ".join(stages), tuple(sorted({f"{obj.color} {obj.type}" for _, obj in targets})))


def takeable(env: TextEnv) -> list[WorldObj]:
    """What the mission lets the agent pick up: what it asks to pick up or to put, and keys of locked doors.

    To be called after reset(), before any door has changed.
    """
    locked = {door.color for door in _cells(env, Door) if door.is_locked}
    return [*_objects(env.instrs, only_taken=True), *(key for key in _cells(env, Key) if key.color in locked)]


def cut_off(env: TextEnv, needed: Iterable[WorldObj]) -> bool:
    """Whether one of `needed` could not be reached past the object that was just taken from, or destroyed in,
    the cell in front of the agent. Doors count as passable, since they can be opened."""
    width, cells = env.grid.width, env.grid.grid
    (x, y), (ahead_x, ahead_y) = env.agent_pos, env.front_pos
    start, taken = y * width + x, ahead_y * width + ahead_x
    touched, stack = {start, taken}, [start]
    while stack:
        index = stack.pop()
        if index == start or cells[index] is None or isinstance(cells[index], Door):
            beside = {index + 1, index - 1, index + width, index - width} - touched
            touched |= beside
            stack += beside
    places = {id(cell): index for index, cell in enumerate(cells) if cell is not None}
    return any(places.get(id(obj), start) not in touched for obj in needed)


def named(env: TextEnv) -> list[WorldObj]:
    """All objects that the mission names."""
    return _objects(env.instrs)


def _next(instr: Any, env: TextEnv) -> Iterator[tuple[str, WorldObj]]:
    if isinstance(instr, verifier.BeforeInstr):
        yield from _next(instr.instr_b if instr.a_done == "success" else instr.instr_a, env)
    elif isinstance(instr, verifier.AfterInstr):
        yield from _next(instr.instr_a if instr.b_done == "success" else instr.instr_b, env)
    elif isinstance(instr, verifier.AndInstr):
        for part, done in ((instr.instr_a, instr.a_done), (instr.instr_b, instr.b_done)):
            if done != "success":
                yield from _next(part, env)
    elif isinstance(instr, verifier.PutNextInstr):
        if any(env.carrying is obj for obj in instr.desc_move.obj_set):
            yield from (("put next to", obj) for obj in instr.desc_fixed.obj_set)
        else:
            yield from (("pick up", obj) for obj in instr.desc_move.obj_set)
    elif isinstance(instr, verifier.OpenInstr):
        for door in instr.desc.obj_set:
            fits = isinstance(env.carrying, Key) and env.carrying.color == door.color
            if door.is_locked and not fits:
                yield from (("get the key for", key) for key in _cells(env, Key) if key.color == door.color)
            else:
                yield "open", door
    else:
        stage = "pick up" if isinstance(instr, verifier.PickupInstr) else "go to"
        yield from ((stage, obj) for obj in instr.desc.obj_set)


def _objects(instr: Any, *, only_taken: bool = False) -> list[WorldObj]:
    """What `instr` names; `only_taken`: what it asks to pick up or to put."""
    if isinstance(instr, verifier.SeqInstr):
        return [
            obj for part in (instr.instr_a, instr.instr_b) for obj in _objects(part, only_taken=only_taken)
        ]
    if isinstance(instr, verifier.PutNextInstr):
        fixed = [] if only_taken else instr.desc_fixed.obj_set
        return [*instr.desc_move.obj_set, *fixed]
    if only_taken and not isinstance(instr, verifier.PickupInstr):
        return []
    return list(instr.desc.obj_set)


def _cells(env: TextEnv, kind: type[Any]) -> Iterable[Any]:
    return [cell for cell in env.grid.grid if isinstance(cell, kind)]
