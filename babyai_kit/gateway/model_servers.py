"""Where the models of this process's gateway are asked: the adapters and the offline player that stand in
front of them, started when a model is first needed and ended together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from babyai_kit.configuration.agents_toml import Front
from babyai_kit.configuration.models import is_local_language_model
from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.remedies import OF_SETTINGS, Remedies
from babyai_kit.configuration.served_models import Model, remedies
from babyai_kit.configuration.settings import Settings
from babyai_kit.local import language_model
from babyai_kit.local.adapter import Adapter
from babyai_kit.local.player import OfflinePlayer
from babyai_kit.local.player.trainer import Trainer


class ModelServers:
    """An async context manager; what it started ends with it."""

    def __init__(self, settings: Settings, data: StrPath, *, quiet: bool) -> None:
        self._settings = settings
        self._data = Path(data)
        self._quiet = quiet
        self._stack = contextlib.AsyncExitStack()
        self._adapters: dict[tuple[str, Remedies], Adapter] = {}
        self._player: OfflinePlayer | None = None

    async def __aenter__(self) -> ModelServers:
        await self._stack.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def fronts(self, models: Sequence[Model]) -> dict[str, Front]:
        """By the model's name, where it is asked; without those that the gateway asks by itself.

        Raises ConfigError for a proxy that cannot be used and a model of this machine that cannot be built.
        """
        found = {}
        for model in models:
            if model.on_this_machine:
                address = await self.player(language_model_needed=is_local_language_model(model.name))
                found[model.name] = Front(address, gives_up=False)
            elif model.base_url:
                address = await self.adapter(model.base_url, remedies(model, self._settings))
                found[model.name] = Front(address, gives_up=True)
        return found

    async def adapter(self, base_url: str, words: Remedies = OF_SETTINGS) -> str:
        """The address of the adapter in front of the server at `base_url`; its messages end with `words`."""
        # What to correct differs between models of one server that have keys of their own.
        place = base_url, words
        if place not in self._adapters:
            adapter = Adapter(
                base_url,
                timeout_s=self._settings.timeout_s,
                first_timeout_s=self._settings.first_timeout_s,
                remedies=words,
            )
            self._adapters[place] = await self._stack.enter_async_context(adapter)
        return self._adapters[place].base_url

    async def player(self, *, language_model_needed: bool) -> str:
        """The address of the offline player, which serves the models of this machine."""
        if self._player is not None and language_model_needed and language_model.missing():
            await self._trainers(needed=True)  # says what is missing
        if self._player is None:
            trainers = await self._trainers(language_model_needed)
            # Its fine-tuned models outlive this process; another one may use the folder at the same time.
            player = OfflinePlayer(folder=self._data / "player", trainers=trainers)
            self._player = await self._stack.enter_async_context(player)
        return self._player.base_url

    async def _trainers(self, needed: bool) -> list[Trainer]:
        """The language model of this machine, to be served beside the offline player, where it is installed.

        It is loaded now if it is the one that plays. Raises ConfigError if it is needed and not installed.
        """
        if not needed and language_model.missing():
            return []
        lazy = language_model.make_language_model(threads=self._settings.local_model_threads)
        if needed:
            await asyncio.to_thread(lazy.prepare)
        return [lazy]
