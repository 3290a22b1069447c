"""How far a run is: what was planned, what is finished, what ended with an error, what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from babyai_kit.configuration.models import is_human, is_offline_player
from babyai_kit.runs.episode_table import error_examples
from babyai_kit.runs.records import KEY_COLUMNS, EpisodeKey
from babyai_kit.runs.run import Run


@dataclass(frozen=True)
class Standing:
    """Counts of episodes, of those that a report is about: usually of all plans that the run was given."""

    planned: int
    finished: int
    """Planned episodes with an outcome, success or failure."""
    errors: int
    """Planned episodes that ended with an error of model, gateway or store."""
    missing: Mapping[str, int]
    """Planned episodes without a row, by variant; 0 where none is."""
    kinds: Mapping[str, int]
    """Errors by kind, the most frequent first."""
    examples: Mapping[str, str]
    """A message of each of these kinds, in one line."""
    models: tuple[str, ...]

    @property
    def unfinished(self) -> int:
        """Planned episodes without a row."""
        return sum(self.missing.values())

    @property
    def complete(self) -> bool:
        """Whether every planned episode has an outcome."""
        return self.finished == self.planned

    @property
    def llm(self) -> bool | None:
        """Whether language models alone played; None if others played beside them."""
        others = [is_offline_player(model) or is_human(model) for model in self.models]
        return None if any(others) and not all(others) else not any(others)

    @property
    def others(self) -> str:
        """Who played that is no language model."""
        kinds = {
            "the offline player, a small program": any(map(is_offline_player, self.models)),
            "a person": any(map(is_human, self.models)),
        }
        return " and by ".join(name for name, there in kinds.items() if there)

    def __str__(self) -> str:
        finished = f"{self.finished} of {self.planned} planned episodes are finished"
        if self.complete:
            return f"{finished}; none ended with an error."
        return (
            f"INCOMPLETE: {finished}; {self.errors} ended with an error, {self.unfinished} not finished. "
            "Figures over all tasks use complete seed blocks only."
        )


def standing(run: Run, episodes: pd.DataFrame, planned: Sequence[EpisodeKey] | None = None) -> Standing:
    """The standing of the run with this table of `Run.episodes`; `planned`: by default all of its plans."""
    planned = run.planned() if planned is None else planned
    keys = [EpisodeKey(*values) for values in episodes[KEY_COLUMNS].itertuples(index=False, name=None)]
    status = dict(zip(keys, episodes["status"], strict=True))
    kinds = dict(zip(keys, episodes["error_kind"], strict=True))
    outcomes = Counter(status.get(key) for key in planned)
    missing = dict.fromkeys(sorted({key.variant for key in planned}), 0)
    missing |= Counter(key.variant for key in planned if key not in status)
    errors = Counter(kinds[key] for key in planned if status.get(key) == "error")
    present = set(planned)
    examples = error_examples(episodes.loc[[key in present for key in keys]])
    return Standing(
        planned=len(planned),
        finished=outcomes["ok"],
        errors=outcomes["error"],
        missing=missing,
        kinds=dict(errors.most_common()),
        examples=examples,
        models=tuple(sorted({*map(str, episodes["model"]), *run.manifest.models})),
    )
