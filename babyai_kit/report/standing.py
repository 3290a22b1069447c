"""How far a run is: what was planned, what is finished, what broke, what is missing.

Knows the plan in `run.json` and the rows of the journal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from babyai_kit.configuration.models import is_offline_player

_PLACE = ("variant", "task", "num_dists", "seed", "repeat", "history_length")


@dataclass(frozen=True)
class Standing:
    """Counts of episodes, over all plans that the run was given."""

    planned: int
    finished: int
    """Planned episodes with an outcome, success or failure."""
    errors: int
    """Planned episodes that ended by an error of model, gateway or store."""
    missing: Mapping[str, int]
    """Planned episodes without a row, by variant; 0 where none is."""
    kinds: Mapping[str, int]
    """Errors by kind, the most frequent first."""
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
        """Whether language models alone played; None if the offline player played beside them."""
        offline = [is_offline_player(model) for model in self.models]
        return None if any(offline) and not all(offline) else not any(offline)

    def __str__(self) -> str:
        said = f"{self.finished} of {self.planned} planned episodes are finished"
        if self.complete:
            return f"{said}; none ended by an error."
        said += f"; {self.errors} ended by an error, {self.unfinished} are unfinished."
        return f"INCOMPLETE: {said} Figures over all tasks use complete seed blocks only."


def standing(manifest: Mapping[str, Any], episodes: pd.DataFrame) -> Standing:
    """The standing of the run with this `run.json` and table of `load_episodes`."""
    planned = {
        (variant, task, plan["num_dists"], seed, repeat, plan["history_length"])
        for plan in manifest.get("plans") or [manifest["plan"]]
        for variant in plan["variants"]
        for task in plan["tasks"]
        for seed in plan["seeds"]
        for repeat in range(plan["repeats"])
    }
    models = manifest.get("models", {})
    present = episodes[episodes["model"] == episodes["variant"].map(models).fillna(episodes["model"])]
    places = list(present[list(_PLACE)].itertuples(index=False, name=None))
    status = dict(zip(places, present["status"], strict=True))
    missing = Counter(dict.fromkeys(dict.fromkeys(place[0] for place in sorted(planned)), 0))
    missing.update(place[0] for place in planned if place not in status)
    errors = present.loc[present["status"] == "error", "error"]
    kinds = Counter(str(error).split(":")[0] for error in errors)
    used = sorted({*map(str, episodes["model"]), *map(str, models.values())})
    return Standing(
        planned=len(planned),
        finished=sum(status.get(place) == "ok" for place in planned),
        errors=sum(status.get(place) == "error" for place in planned),
        missing=dict(missing),
        kinds=dict(kinds.most_common()),
        models=tuple(used),
    )
