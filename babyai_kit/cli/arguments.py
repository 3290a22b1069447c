"""Flags that several commands share, and the parsers of their values."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from babyai_kit.configuration.project import PROJECT_RESULTS

if TYPE_CHECKING:
    from babyai_kit.configuration.variants import Config
    from babyai_kit.runs.selection import Filters


def add_command(commands: Any, name: str, summary: str) -> Any:
    """The parser of a new command; `summary` describes it in both helps, without a capital and a period."""
    description = f"{summary[0].upper()}{summary[1:]}."
    return commands.add_parser(name, help=summary, description=description)


def add_run(parser: argparse.ArgumentParser) -> None:
    """The run's name and the folder it is in."""
    parser.add_argument("run", metavar="RUN", help="name of the run, and of its folder under --results")
    add_results(parser)


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Which episodes of a run to look at; read by `filters`."""
    flag = parser.add_argument
    flag("--variants", type=names, metavar="NAME,...", help="only these (default: all)")
    flag("--models", type=names, metavar="NAME,...", help="only these (default: all)")
    flag("--tasks", type=names, metavar="NAME,...", help="only these (default: all)")
    flag("--seeds", type=seeds, help="only these, like 200:220 or 1,5 (default: all)")
    several = "if the run has several (default: that with the most seeds)"
    flag("--history-length", type=whole_numbers, metavar="N,...", help=f"only this, {several}")
    flag("--num-dists", type=whole_numbers, metavar="N,...", help=f"only this, {several}")


def filters(args: argparse.Namespace) -> Filters:
    """The flags of `add_filters`."""
    from babyai_kit.runs.selection import Filters

    return Filters(**given(args, "variants", "models", "tasks", "seeds", "history_length", "num_dists"))


def baseline(text: str) -> str | dict[str, str]:
    """A variant, or `variant=NAME,model=NAME`."""
    if "=" not in text:
        return text
    pairs = [part.partition("=") for part in text.split(",")]
    return {key.strip(): value.strip() for key, _, value in pairs}


def add_results(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results",
        metavar="FOLDER",
        default=PROJECT_RESULTS,
        help="folder of the runs (default: results/ in the project)",
    )


def add_episode_flags(parser: argparse.ArgumentParser) -> None:
    """How episodes are played and the model is asked, in every command that plays some."""
    flag = parser.add_argument
    flag("--num-dists", type=int, metavar="N", help="distracting objects (default: none)")
    flag("--repeats", type=int, metavar="N", help="episodes per seed (default: 1)")
    flag("--history-length", type=int, metavar="N", help="steps that the history variants show (default: 8)")
    flag("--temperature", type=float, metavar="T", help="0 to 2 (default: that of the model server)")
    flag("--max-tokens", type=int, metavar="N", help="limit of one answer (default: 1024)")
    flag(
        "--reasoning-effort",
        metavar="EFFORT",
        help="how long a model that reasons may think, like low or high (default: its own)",
    )
    flag(
        "--thinking-budget",
        type=int,
        metavar="N",
        dest="thinking_budget_tokens",
        help="the same in tokens, for providers that know such a limit (default: none)",
    )
    flag(
        "--no-call-seeds",
        dest="call_seeds",
        action="store_false",
        default=None,
        help="for model servers that refuse the parameter seed",
    )
    flag(
        "--concurrency",
        type=by_model(int),
        metavar="N",
        dest="max_concurrency",
        help="calls in flight of each model, or by model, like A=2,B=50 (default: 50)",
    )
    flag(
        "--requests-per-minute",
        type=by_model(float),
        metavar="N",
        help="calls that may start in a minute, evenly spaced, likewise (default: AGENT_REQUESTS_PER_MINUTE, "
        "else any)",
    )
    flag(
        "--stop-after-invalid",
        type=int,
        metavar="N",
        help="stop if none of the first N answers is valid; 0: go on (default: 50)",
    )


def add_run_budget(parser: argparse.ArgumentParser, of: str = "the run") -> None:
    """What a run, or each run `of` the command, may take."""
    parser.add_argument(
        "--max-cost-usd",
        type=by_model(float),
        metavar="USD",
        help=f"budget of {of}, in dollars, or by model, like A=1,B=5 (default: none)",
    )
    parser.add_argument(
        "--max-tokens-total",
        type=by_model(int),
        metavar="N",
        help=f"budget of {of}, prompts and answers together, likewise (default: none)",
    )


def run_options(args: argparse.Namespace) -> dict[str, Any]:
    """The flags of `add_episode_flags`, `add_run_budget` and `add_results` that were given, as parameters of
    `run_experiment`."""
    return given(
        args,
        "num_dists",
        "repeats",
        "history_length",
        "temperature",
        "max_tokens",
        "call_seeds",
        "reasoning_effort",
        "thinking_budget_tokens",
        "max_concurrency",
        "requests_per_minute",
        "stop_after_invalid",
        "max_cost_usd",
        "max_tokens_total",
        "results",
    )


def project_config() -> Config:
    """The project's configuration under its settings, read without starting anything. Raises ConfigError."""
    from babyai_kit.configuration.project import PROJECT_CONFIG
    from babyai_kit.configuration.settings import load_settings
    from babyai_kit.configuration.variants import load_config

    return load_config(PROJECT_CONFIG, load_settings())


def check_variants(*names: str) -> None:
    """Raises InputError for a variant that the project does not have."""
    from babyai_kit.errors import InputError, unknown

    variants = project_config().variants
    for name in names:
        if name not in variants:
            raise InputError(unknown("variant", name, variants))


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The flags among `names` that were given; the others have the defaults of the function called."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def names(text: str) -> list[str]:
    """`a,b` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def by_model(number: type[int] | type[float]) -> Callable[[str], Any]:
    """A parser of `2`, or of `A=2,B=50` as a mapping."""

    def parse(text: str) -> Any:
        if "=" not in text:
            return number(text)
        pairs = [part.rpartition("=") for part in text.split(",")]
        models = [model.strip() for model, _, _ in pairs]
        if twice := next((model for model in models if models.count(model) > 1), None):
            raise argparse.ArgumentTypeError(f"{twice} has two numbers; give each model one")
        return {model: number(value) for model, (_, _, value) in zip(models, pairs, strict=True)}

    parse.__name__ = number.__name__  # argparse names it when a value is not valid
    return parse


def whole_numbers(text: str) -> list[int]:
    """`4` or `4,8`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid number; use 8 or 4,8") from None


def seeds(text: str) -> list[int]:
    """`200:220` (half-open) or `1,5,9`."""
    try:
        if ":" in text:
            first, end = map(int, text.split(":"))
            return list(range(first, end))
        return [int(part) for part in text.split(",")]
    except ValueError:
        message = f"{text!r} is not a valid seed range; use 200:220 or 1,5,9"
        raise argparse.ArgumentTypeError(message) from None


def shard(text: str) -> tuple[int, int]:
    """`0/4`."""
    try:
        index, count = map(int, text.split("/"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a valid shard; use 0/4") from None
    return index, count
