"""`curate`: from the episodes of runs to the examples that are worth learning from.

The rules for episodes are in this module, those for single steps in `examples`; what each of them leaves is
counted. Examples come from the train block alone. The metric `curated` is sent too: true for the episodes
chosen, false for those chosen before that no longer are. So the form of TensorZero's UI, which filters by
metric only, finds the present choice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

import pandas as pd

from babyai_kit.agents.interface import MakeAgent
from babyai_kit.agents.registry import as_variant, find_agent
from babyai_kit.configuration.project import PROJECT_RESULTS, StrPath
from babyai_kit.configuration.variants import Variant
from babyai_kit.errors import InputError, unknown
from babyai_kit.finetune.curated_metric import mark_as_curated
from babyai_kit.finetune.episode_sources import SourceEpisode, from_clickhouse, from_journal
from babyai_kit.finetune.examples import Example, Stage, make_examples
from babyai_kit.finetune.experience import Experience, experience, player_name, prompt_variant
from babyai_kit.finetune.plan_settings import PlaySettings, with_settings
from babyai_kit.gateway.session import Session
from babyai_kit.runs.seed_blocks import check_block

SOURCES = {"clickhouse": from_clickhouse, "journal": from_journal}
Rule = Callable[[Sequence[SourceEpisode]], list[SourceEpisode]]


@dataclass(frozen=True)
class Curation:
    """What `curate` chose."""

    variant: str
    """Whose prompt the examples have."""
    model: str
    """The variant's, which is what is fine-tuned unless another is named."""
    runs: tuple[str, ...]
    examples: tuple[Example, ...]
    """Sorted by run, task, seed, repeat and step."""
    counts: pd.DataFrame
    """A row per rule, in order: stage, episodes, steps (what is left after it)."""
    left_out: str = ""
    """How many finished episodes there are of other settings, in words."""
    player: str = ""
    """Whose episodes these are, where the prompts are not as they were asked; else empty."""

    @property
    def digest(self) -> str:
        """12 hex digits over prompts and answers: equal for equal examples."""
        content = json.dumps([(e.prompt, e.answer) for e in self.examples])
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({e.seed for e in self.examples}))

    def __str__(self) -> str:
        tasks = pd.Series([e.task for e in self.examples]).value_counts()
        whose = f"{self.player}, as {self.variant} is asked" if self.player else self.variant
        return (
            f"{len(self.examples):,} examples of {len({e.episode_id for e in self.examples}):,} episodes of "
            f"{whose} ({', '.join(f'{task} {n:,}' for task, n in tasks.items())})\n"
            + self.counts.to_string(
                index=False, formatters=dict.fromkeys(("episodes", "steps"), "{:,}".format)
            )
            + (f"\nLeft out, played under other settings: {self.left_out}" if self.left_out else "")
        )


async def curate(
    session: Session,
    runs: str | Sequence[str],
    variant: str | MakeAgent,
    *,
    prompt: str | None = None,
    min_return: float = 0.0,
    max_per_task: int | None = 40,
    shortest_only: bool = False,
    drop_detours: bool = False,
    seeds: Iterable[int] | None = None,
    settings: PlaySettings | None = None,
    model: str | None = None,
    episodes: pd.DataFrame | None = None,
    source: str = "clickhouse",
    mark_curated: bool = True,
    results: StrPath = PROJECT_RESULTS,
) -> Curation:
    """Choose examples from the episodes of `variant` in `runs`: one of `config/`, or an agent of Python code,
    whose every call of a step with a valid action is an example.

    An episode is chosen if it succeeded with a return of at least `min_return` (0 to 1) under the present
    prompt, and ClickHouse holds all its steps; of each task at most `max_per_task`, best return first; with
    `shortest_only`, only the best of the episodes that share task and seed. Steps with an invalid answer are
    left out, and so are those that repeat another example word for word; with `drop_detours` also those that
    the episode did not need (see `needed_steps`).
    `prompt`: the variant of `config/` whose prompt the examples have, whoever played; None: as it was asked.
    With it, `variant` may be anybody of the runs: an explorer, a person, a teacher. The answers are the
    executed actions, the journal is the source, and neither the player's prompt nor ClickHouse decides. With
    `drop_detours` the prompts are those of the episode without its detours. A prompt that asks for reasoning
    takes the steps that have a thought, and is refused if there are none.
    `seeds`: use only these, all of the train block; None: use all, and a seed outside that block is an error.
    `settings`: use only episodes played under these; None: under any.
    `model`: use only its episodes, and fine-tune it; None: the variant's, unless only another played it. With
    `prompt` the episodes of all models are used.
    `episodes`: use only those in this table, as `run_experiment` returns it: the run may hold others, of
    other tasks or settings. `source`: "clickhouse" (what the gateway stored, read through its API) or
    "journal"; both give the same.
    `mark_curated`: send the metric; never with `prompt`, which the form could not follow. Raises InputError
    if no example is left, with the counts, and for seeds outside the train block; StoreError and GatewayError
    if ClickHouse or the gateway does not answer.
    """
    runs = (runs,) if isinstance(runs, str) else tuple(runs)
    if source not in SOURCES:
        raise InputError(f"unknown source {source!r}; use 'clickhouse' or 'journal'")
    if not 0 <= min_return <= 1:
        raise InputError(f"min_return {min_return!r} is not in range; use 0 to 1")
    if max_per_task is not None and max_per_task < 1:
        raise InputError(f"max_per_task {max_per_task!r} is not valid; use at least 1, or None for no limit")
    wanted = None if seeds is None else set(seeds)
    check_block(wanted or (), "train", "training")
    settings = settings or PlaySettings()
    told: Experience | None = None
    if prompt is None:
        session, name = _knowing(session, variant)
        player = learner = session.config.variants[name]
        found = [e for run in runs for e in await SOURCES[source](session, run, name, results)]
    else:
        learner = prompt_variant(session.config, prompt)
        length = settings.history_length
        told = await experience(runs, player_name(variant), learner, results=results, history_length=length)
        player, found = told.player, told.episodes
    if wanted is not None:
        found = [e for e in found if e.row.seed in wanted]
    if episodes is not None:
        ids = set(episodes["episode_id"])
        found = [e for e in found if e.row.episode_id in ids]
    found, left_out = with_settings(found, settings, player)
    check_block((e.row.seed for e in found), "train", "training")
    if told is None:
        played_by = sorted({e.row.model for e in found})
        chosen_model = _chosen_model(model, learner.model, played_by)
        if chosen_model in played_by:
            found = [e for e in found if e.row.model == chosen_model]
    else:
        chosen_model = model or (learner.model if learner.own else session.config.first_model)
    rules = episode_rules(
        None if told else player,
        min_return=min_return,
        max_per_task=max_per_task,
        shortest_only=shortest_only,
    )
    chosen, episode_stages = apply_rules(found, rules)
    examples, step_stages = make_examples(
        chosen,
        learner,
        drop_detours=drop_detours,
        experience=told,
    )
    stages = [*episode_stages, *step_stages]
    if not examples:
        raise InputError(
            "no step is left to learn from; run more train seeds or lower min_return: "
            + ", ".join(f"{s.stage}: {s.episodes}" for s in stages)
        )
    if mark_curated and told is None:
        await mark_as_curated(session, [e.row for e in chosen])
    return Curation(
        variant=learner.name,
        model=chosen_model,
        runs=runs,
        examples=examples,
        counts=pd.DataFrame(stages),
        left_out=left_out,
        player=player.name if told else "",
    )


def _knowing(session: Session, variant: str | MakeAgent) -> tuple[Session, str]:
    """The session with `variant` among its variants, if that is an agent; and its name.

    Raises InputError if it is neither.
    """
    if isinstance(variant, str) and variant in session.config.variants:
        return session, variant
    try:
        spec = find_agent(variant)
    except InputError:
        if not isinstance(variant, str) or ":" in variant or variant.endswith(".py"):
            raise
        raise InputError(unknown("variant", variant, session.config.variants)) from None
    if spec.asks is not None:
        raise InputError(
            f"the agent {spec.name} has no prompt of its own; name the variant that is to learn from its "
            "episodes, as in prompt='baseline' or --prompt baseline"
        )
    config = session.config.with_agents([as_variant(spec, session.settings)])
    return session.with_settings(config, session.settings), spec.name


def _chosen_model(asked: str | None, usual: str, played_by: Sequence[str]) -> str:
    """The model that is fine-tuned. Raises InputError if it has no episodes and several others have."""
    if asked is not None:
        if played_by and asked not in played_by:
            raise InputError(unknown("model", asked, played_by))
        return asked
    if usual not in played_by and len(played_by) > 1:
        raise InputError(f"these episodes are of several models; name one of {', '.join(played_by)}")
    return usual


def episode_rules(
    variant: Variant | None, *, min_return: float, max_per_task: int | None, shortest_only: bool
) -> list[tuple[str, Rule]]:
    """The rules that episodes must pass, in order, by name. Each takes the episodes best first.

    `variant`: whose they are; None where the examples have another prompt than their player's.
    """
    rules: list[tuple[str, Rule]] = [("finished", list)]
    if variant is not None:
        digests = variant.digests
        rules.append(("present prompt", _only(lambda e: e.row.variant_digest in digests)))
    rules += [
        ("succeeded", _only(lambda e: bool(e.row.success))),
        (f"return >= {min_return:g}", _only(lambda e: (e.row.episode_return or 0.0) >= min_return)),
        (f"complete in {'ClickHouse' if variant else 'the journal'}", _only(lambda e: e.complete)),
    ]
    if shortest_only:
        rules.append(("best of its task and seed", _first_of_each("task", "num_dists", "seed", limit=1)))
    if max_per_task is not None:
        rules.append((f"at most {max_per_task} of a task", _first_of_each("task", limit=max_per_task)))
    return rules


def apply_rules(
    episodes: Iterable[SourceEpisode], rules: Iterable[tuple[str, Rule]]
) -> tuple[list[SourceEpisode], list[Stage]]:
    """The episodes that every rule leaves, sorted by key, and what each rule left."""
    # Best first, so that every limit keeps the best.
    left = sorted(episodes, key=lambda e: (-(e.row.episode_return or 0.0), e.row.key))
    stages = []
    for name, rule in rules:
        left = rule(left)
        stages.append(Stage(name, len(left), sum(len(e.steps) for e in left)))
    return sorted(left, key=lambda e: e.row.key), stages


def _only(keeps: Callable[[SourceEpisode], bool]) -> Rule:
    return lambda episodes: [e for e in episodes if keeps(e)]


def _first_of_each(*fields: str, limit: int) -> Rule:
    """Keeps the first `limit` of every group of episodes that agree in `fields`."""

    def rule(episodes: Sequence[SourceEpisode]) -> list[SourceEpisode]:
        groups = pd.DataFrame([vars(e.row) for e in episodes], columns=fields).groupby(list(fields))
        return list(compress(episodes, groups.cumcount() < limit))

    return rule
