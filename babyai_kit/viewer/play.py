"""The addresses by which a person plays, `api/play/...`: POST with JSON. What blocks runs in a thread."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from babyai_kit.configuration.models import HUMAN
from babyai_kit.configuration.project import StrPath
from babyai_kit.environment.suites import SUITES
from babyai_kit.environment.tasks import MAX_DISTRACTORS, TASKS
from babyai_kit.errors import InputError, JournalError
from babyai_kit.runs.seed_blocks import VALIDATION
from babyai_kit.viewer.game import Choice, Game
from babyai_kit.viewer.game_view import game_data

FEW = 5
"""Seeds of the validation block that are offered."""
MAX_SEEDS = 1000
"""Of one choice."""
MAX_GAMES = 8
"""Runs that one viewer keeps open for players."""


class Play:
    """The games that are played at this viewer."""

    def __init__(self, results: StrPath) -> None:
        self._results = results
        self._games: dict[str, Game] = {}
        self._turn = asyncio.Lock()

    def add_to(self, router: web.UrlDispatcher, base: str) -> None:
        """Register the addresses under `base`, which has no slash at its end."""
        router.add_get(f"{base}/api/play", self._offer)
        for name, handler in {
            "start": self._start,
            "act": self._act,
            "next": self._next,
            "stop": self._stop,
        }.items():
            router.add_post(f"{base}/api/play/{name}", self._answer(handler))

    def close(self) -> None:
        """End all games; they go on from where they are."""
        for game in self._games.values():
            game.close()
        self._games.clear()

    async def _offer(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                "tasks": list(TASKS),
                "levels": list(dict.fromkeys(t for s in SUITES.values() for t in s.tasks if t not in TASKS)),
                "run": HUMAN,
                "seeds": f"{VALIDATION.start}:{VALIDATION.start + FEW}",
                "maxDistractors": MAX_DISTRACTORS,
            }
        )

    def _answer(self, handler: Callable[[dict[str, Any]], Any]) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.Response:
            # A browser that goes away must not let the next request in before this one is done.
            return web.json_response(await asyncio.shield(self._in_turn(handler, await _values(request))))

        return answer

    async def _in_turn(self, handler: Callable[[dict[str, Any]], Any], values: dict[str, Any]) -> Any:
        async with self._turn:
            return await asyncio.to_thread(handler, values)

    def _start(self, values: dict[str, Any]) -> dict[str, Any]:
        choice = _choice(values)
        if previous := self._games.pop(choice.run, None):
            previous.close()
        if len(self._games) >= MAX_GAMES:
            self._games.pop(next(iter(self._games))).close()
        self._games[choice.run] = game = Game(self._results, choice)
        return game_data(game)

    def _act(self, values: dict[str, Any]) -> dict[str, Any]:
        """`step` guards against a key that was pressed twice before the answer came."""
        game = self._game(values)
        episode = game.present
        if episode is None or values.get("id") != episode.id:
            raise InputError(f"the run {game.choice.run!r} is played in another page now; begin again here")
        if values.get("step") == len(episode.steps) and episode.record is None:
            try:
                game.act(str(values.get("action")))
            except JournalError:
                # What was done is not written: it is played again from what is.
                self._games.pop(game.choice.run).close()
                raise
        return game_data(game)

    def _next(self, values: dict[str, Any]) -> dict[str, Any]:
        game = self._game(values)
        game.proceed()
        return game_data(game)

    def _stop(self, values: dict[str, Any]) -> dict[str, Any]:
        if game := self._games.pop(str(values.get("run")), None):
            game.close()
        return {}

    def _game(self, values: dict[str, Any]) -> Game:
        game = self._games.get(str(values.get("run")))
        if game is None:
            raise InputError("this game has been left; begin again, it goes on where it was")
        return game


async def _values(request: web.Request) -> dict[str, Any]:
    """The JSON object that was sent. Raises InputError for anything else."""
    values = None
    if request.content_type == "application/json":
        try:
            values = json.loads(await request.text())
        except ValueError:
            values = None
    if not isinstance(values, dict):
        raise InputError("the request is no JSON object; reload the page")
    return values


def _choice(values: dict[str, Any]) -> Choice:
    """Raises InputError for values of another form."""
    tasks = values.get("tasks")
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        raise InputError(f"the tasks are no list of names; choose from {', '.join(TASKS)}")
    num_dists = values.get("distractors", 0)
    if type(num_dists) is not int:
        raise InputError(f"the number of distractors is not valid; use 0 to {MAX_DISTRACTORS}")
    return Choice(
        run=str(values.get("run", HUMAN)),
        tasks=tuple(tasks),
        seeds=_seeds(str(values.get("seeds", ""))),
        num_dists=num_dists,
        picture=values.get("picture") is True,
    )


def _seeds(text: str) -> tuple[int, ...]:
    """`200:220` (half-open), `1,5,9`, or both. Raises InputError."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,18})(?::(\d{1,18}))?\s*", part)
        first, end = (int(match[1]), int(match[2] or int(match[1]) + 1)) if match else (0, 0)
        if not 0 < end - first <= MAX_SEEDS - len(seeds):
            raise InputError(
                f"{text[:40]!r} is not a valid seed range; use 200:205 or 200,203, at most {MAX_SEEDS} seeds"
            )
        seeds += range(first, end)
    return tuple(seeds)
