"""A step's prompt, rendered from the variant's templates exactly as the gateway renders it.

With the gateway's own template engine (minijinja; undefined names are errors), and equal to the byte to what
the model server gets at inference (tested).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from minijinja import Environment, TemplateError

from babyai_kit.agents.interface import Turn
from babyai_kit.configuration.variants import Variant
from babyai_kit.errors import ConfigError

Messages = tuple[tuple[str, str], ...]
"""(role, text) in order."""


class Renderer:
    """The templates of one variant, ready to render."""

    def __init__(self, variant: Variant) -> None:
        self._variant = variant
        self._engine = Environment(
            templates=variant.templates, undefined_behavior="strict", auto_escape_callback=lambda _: False
        )

    def messages(self, arguments: Mapping[str, Any], earlier: Sequence[Turn] = ()) -> Messages:
        """The system and the user message, given the arguments of the user template; those of the `earlier`
        turns of a dialogue between them.

        Raises ConfigError if a template cannot be rendered.
        """
        try:
            messages = [*self._message("system")]
            for turn in earlier:
                messages += [*self._message("user", turn.arguments), ("assistant", turn.answer)]
            return (*messages, *self._message("user", arguments))
        except TemplateError as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"a template of variant {self._variant.name!r} cannot be rendered; correct it: {reason}"
            ) from None

    def _message(self, role: str, arguments: Mapping[str, Any] = MappingProxyType({})) -> Messages:
        """The message of `role`; none if the variant has no template for it."""
        if role not in self._variant.templates:
            return ()
        return ((role, self._engine.render_template(role, **arguments)),)
