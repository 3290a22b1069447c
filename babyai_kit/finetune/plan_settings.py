"""Episodes of equal settings: a run may hold several history lengths and numbers of distracting objects, and
what is learned from one of them is not mixed with the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from babyai_kit.configuration.project import StrPath
from babyai_kit.configuration.variants import Variant
from babyai_kit.errors import InputError
from babyai_kit.finetune.episode_sources import SourceEpisode
from babyai_kit.runs.journal import run_folder
from babyai_kit.runs.plan_text import objects_text
from babyai_kit.runs.run import Run


@dataclass(frozen=True)
class PlaySettings:
    """What an episode's observations and prompts depend on, beside task, seed and variant. None: any."""

    num_dists: int | None = None
    history_length: int | None = None

    def beside(self, other: PlaySettings) -> PlaySettings:
        """What differs from `other`, as far as that says anything; the rest is None."""
        pairs = (self.num_dists, other.num_dists), (self.history_length, other.history_length)
        return PlaySettings(*(value if there not in (None, value) else None for value, there in pairs))

    def __str__(self) -> str:
        history = () if self.history_length is None else (f"history length {self.history_length}",)
        return ", ".join((*history, *(() if self.num_dists is None else (objects_text(self.num_dists),))))

    @property
    def flags(self) -> str:
        """Of `finetune launch`."""
        values = {"--history-length": self.history_length, "--num-dists": self.num_dists}
        return " ".join(f"{flag} {value}" for flag, value in values.items() if value is not None)


def latest_settings(run: str, variant: str, results: StrPath) -> PlaySettings:
    """Those of the latest plan of `run` that has `variant`; any, if no plan of it is known here."""
    on_disk = Run.at(run_folder(results, run))
    plans = [plan for plan in on_disk.manifest.plans if variant in plan.variants] if on_disk else []
    return PlaySettings(plans[-1].num_dists, plans[-1].history_length) if plans else PlaySettings()


def with_settings(
    episodes: Sequence[SourceEpisode], wanted: PlaySettings, variant: Variant
) -> tuple[list[SourceEpisode], str]:
    """The episodes played under the `wanted` settings, and in words how many others there are ("" for none).

    The history length of a variant that shows no history says nothing. Raises InputError if there are only
    others.
    """
    if not variant.shows_history:
        wanted = PlaySettings(wanted.num_dists)
    differing = [PlaySettings(e.row.num_dists, e.row.history_length).beside(wanted) for e in episodes]
    kept = [e for e, settings in zip(episodes, differing, strict=True) if settings == PlaySettings()]
    others = Counter(settings for settings in differing if settings != PlaySettings())
    left_out = "; ".join(f"{number} with {s} ({s.flags})" for s, number in sorted(others.items(), key=str))
    if others and not kept:
        raise InputError(f"no finished episode of {variant.name} has {wanted}; there are {left_out}")
    return kept, left_out
