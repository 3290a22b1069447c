"""`run RUN`: a plan, or the rest of it."""

from __future__ import annotations

import argparse
import asyncio
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from babyai_kit.cli.arguments import (
    add_command,
    add_episode_flags,
    add_run,
    add_run_budget,
    given,
    names,
    project_config,
    seeds,
    shard,
)

if TYPE_CHECKING:
    import pandas as pd

    from babyai_kit.configuration.variants import Config
    from babyai_kit.experiment.options import RunOptions
    from babyai_kit.experiment.outcome import Outcome
    from babyai_kit.runs.plan import Plan


def add(commands: Any) -> None:
    parser = add_command(commands, "run", "run a plan, or continue it")
    add_run(parser)
    flag = parser.add_argument
    flag("--variants", type=names, metavar="NAME,...", help="ways to prompt (default: the four of the kit)")
    flag(
        "--agents",
        type=names,
        metavar="NAME,...",
        help="agents of Python code: names, module:Class or path/to/file.py:Class; without --variants, these "
        "alone play (default: none)",
    )
    flag("--models", type=names, metavar="NAME,...", help="default: those of AGENT_MODELS, else AGENT_MODEL")
    flag(
        "--suite",
        metavar="NAME",
        help="in place of --tasks and --num-dists (default: BALROG's five tasks)",
    )
    flag("--tasks", type=names, metavar="NAME,...", help="default: those of the suite")
    flag(
        "--seeds",
        type=seeds,
        metavar="SEEDS",
        help="half-open, like 200:220 (the default), or a list, like 1,5",
    )
    add_episode_flags(parser)
    add_run_budget(parser)
    parser.add_argument(
        "--workflow-evaluation",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="let the UI compare the variants (default: if the gateway is reached over HTTP)",
    )
    parser.add_argument(
        "--shard",
        type=shard,
        default=None,
        metavar="I/N",
        help="this share of the seeds only, like 0/4 (default: all of them)",
    )
    parser.notes = _names
    parser.set_defaults(command=_command)


def _names() -> str:
    """What the help says of the names that there are."""
    from babyai_kit.environment import SUITES, TASKS
    from babyai_kit.errors import KitError

    suites = "".join(f"  {suite.name:<12} {suite.sentence}\n" for suite in SUITES.values())
    try:
        variants: Iterable[str] = project_config().variants
    except KitError:
        from babyai_kit.runs.plan import DEFAULT_VARIANTS as variants
    return (
        f"suites:\n{suites}"
        f"tasks:\n  {', '.join(TASKS)},\n  or a level of minigrid, like BabyAI-BossLevel-v0\n"
        f"variants:\n  {', '.join(variants)}\n{_model_names()}"
    )


def _model_names() -> str:
    """What the help says of models."""
    from babyai_kit.errors import KitError

    try:
        own = project_config().own_models
    except KitError:
        own = {}
    defined = f"of config/models.toml: {', '.join(own)},\n  or " if own else "names of config/models.toml, "
    return f"models:\n  {defined}provider::model, or what your own server calls its model"


def _command(args: argparse.Namespace) -> int:
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    from babyai_kit.agents.registry import as_variant, find_agent
    from babyai_kit.environment.suites import tasks_and_distractors
    from babyai_kit.experiment.budget import Limits
    from babyai_kit.experiment.execution import execute
    from babyai_kit.experiment.experiment import with_agents
    from babyai_kit.experiment.options import RunOptions
    from babyai_kit.gateway.connect import connect
    from babyai_kit.runs.journal import run_folder
    from babyai_kit.runs.plan import Sampling, make_plan

    agents = [find_agent(name) for name in args.agents or ()]

    def checked_plan(config: Config) -> Plan:
        config = config.with_agents(as_variant(agent, config.settings) for agent in agents)
        tasks, num_dists = tasks_and_distractors(args.suite, args.tasks, args.num_dists)
        return make_plan(
            config,
            run=args.run,
            variants=with_agents(args.variants, agents),
            tasks=tasks,
            num_dists=num_dists,
            **given(args, "seeds", "repeats", "history_length", "models"),
        )

    options = RunOptions(
        limits=Limits(args.max_cost_usd, args.max_tokens_total),
        **given(args, "max_concurrency", "requests_per_minute", "stop_after_invalid"),
        **given(args, "workflow_evaluation", "shard", "results"),
    )
    sampling = Sampling(
        **given(args, "temperature", "max_tokens", "call_seeds"),
        **given(args, "reasoning_effort", "thinking_budget_tokens"),
    )
    # Services take seconds to start: what is wrong in the command is said before.
    run_folder(options.results, args.run)
    sampling.check()
    checked_plan(project_config())
    async with connect() as session:
        plan = checked_plan(session.config)
        outcome = await execute(session, plan, sampling, options, agents=agents)
    print(closing(outcome, plan, options))
    return 0 if outcome.complete and outcome.stopped is None else 1


def closing(outcome: Outcome, plan: Plan, options: RunOptions) -> str:
    """The end of the command: success with intervals, where the run is, and what to type next."""
    from babyai_kit.runs.commands import command_line
    from babyai_kit.runs.journal import run_folder

    lines = [""]
    if outcome.episodes["status"].eq("ok").any():
        lines += [outcome_table(outcome.episodes, plan.variants), ""]
    lines.append(f"Folder:  {run_folder(options.results, plan.run, options.shard)}")
    if not outcome.complete or outcome.stopped is not None:
        return "\n".join(lines)
    done = "merge" if options.shard else "compare" if len(plan.variants) * len(plan.models) > 1 else "report"
    lines.append(f"Next:    {command_line(done, plan.run, results=options.results)}")
    return "\n".join(lines)


def outcome_table(episodes: pd.DataFrame, variants: Sequence[str]) -> str:
    """A row per agent in the order of the plan; rates are of seeds that are whole."""
    from babyai_kit.cli.text_table import text_table
    from babyai_kit.stats import MEASURES, UNKNOWN, groups, summarize

    success, length, tokens = (MEASURES[n] for n in ("success", "episode_length", "input_tokens"))
    columns, _ = groups(episodes, ("variant",))
    rows = []
    table = summarize(episodes)
    order = {variant: number for number, variant in enumerate(variants)}
    for _, row in table.sort_values("variant", key=lambda names: names.map(order), kind="stable").iterrows():
        interval = f"{success.number(row['success_low'])} to {success.number(row['success_high'])}"
        rows.append(
            [
                ", ".join(str(row[column]) for column in columns),
                success.text(row["success"]),
                UNKNOWN if math.isnan(row["success_low"]) else interval,
                length.number(row["episode_length"]),
                tokens.number(row["input_tokens"]),
                str(row["n_seeds"]),
                str(row["n_errors"]),
            ]
        )
    head = ["agent", "success", "95% interval", "steps", "tokens in", "seeds", "errors"]
    return text_table(head, rows)
