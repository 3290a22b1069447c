"""Is shown whole episodes that succeeded before its own, and answers with the bare action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from babyai_kit.agents.demonstrations import (
    Demonstration,
    best_of_run,
    expert_demonstrations,
    nothing_to_show,
)
from babyai_kit.agents.interface import Episode
from babyai_kit.agents.naive import Naive
from babyai_kit.agents.registry import agent
from babyai_kit.configuration.project import PROJECT_RESULTS
from babyai_kit.errors import InputError
from babyai_kit.runs.seed_blocks import check_block

MAX_EXAMPLES = 20


@agent("few_shot", uses_history=True)
class FewShot(Naive):
    """Remembers its last steps, and is shown `examples` episodes of its task; one call a step.

    They are the expert's, on the train block's seeds from `first` on; or, with `run`, the best of that run in
    the train block. The episode that is played is never among them.
    """

    def __init__(
        self,
        episode: Episode,
        *,
        examples: int = 2,
        first: int = 0,
        run: str = "",
        results: str = "",
        best: Sequence[Demonstration] | None = None,
    ) -> None:
        super().__init__(episode)
        task, num_dists = episode.task, episode.num_dists
        if run:
            known = best if best is not None else self.prepare(run=run, results=results)["best"]
            source = iter([d for d in known if (d.task, d.num_dists) == (task, num_dists)])
        else:
            source = expert_demonstrations(task, num_dists, first=first)
        shown = list(islice((d for d in source if d.seed != episode.seed), examples))
        if not shown:
            raise nothing_to_show(episode.variant, run, task, num_dists)
        self.form = f"{_text(shown)}\n\nEnd of the examples. Now it is your turn. {Naive.form}"

    @staticmethod
    def prepare(*, examples: int = 2, first: int = 0, run: str = "", results: str = "") -> Mapping[str, Any]:
        """Read once for a whole run: the examples of an earlier one, as they are now."""
        if not 1 <= examples <= MAX_EXAMPLES:
            raise InputError(f"examples must be 1 to {MAX_EXAMPLES}; got {examples}")
        check_block(range(first, first + examples), "train", "examples")
        return {"best": best_of_run(run, results=results or PROJECT_RESULTS)} if run else {}


def _text(shown: Sequence[Demonstration]) -> str:
    titles = (f"Example {number} of {len(shown)}, a success" for number in range(1, len(shown) + 1))
    return "\n\n".join(f"{title}.\n{episode}" for title, episode in zip(titles, shown, strict=True))
