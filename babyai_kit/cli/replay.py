"""`replay RUN`: an episode of a run as an HTML player or an animated GIF."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from babyai_kit.cli.arguments import add_command, add_run


def add(commands: Any) -> None:
    parser = add_command(commands, "replay", "show an episode of a run, step by step")
    add_run(parser)
    parser.add_argument("--task")
    parser.add_argument("--variant")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--repeat", type=int)
    parser.add_argument("--episode", metavar="ID", help="the episode with this episode_id")
    outcome = parser.add_mutually_exclusive_group()
    outcome.add_argument("--success", action="store_const", const=True, help="an episode that succeeded")
    outcome.add_argument(
        "--failure",
        dest="success",
        action="store_const",
        const=False,
        help="one in which the agent failed",
    )
    parser.add_argument("--format", choices=("html", "gif"), help="default: as --out ends, else html")
    parser.add_argument("--out", help="file to write (default: in the run's folder, named after the episode)")
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.errors import InputError
    from babyai_kit.replay import load_replay
    from babyai_kit.runs.journal import run_folder

    episode = load_replay(
        args.run,
        results=args.results,
        task=args.task,
        variant=args.variant,
        seed=args.seed,
        repeat=args.repeat,
        success=args.success,
        episode_id=args.episode,
    )
    kind = args.format or (Path(args.out).suffix[1:].lower() if args.out else "html")
    out = Path(args.out or run_folder(args.results, args.run) / "replays" / f"{episode.name}.{kind}")
    if out.suffix.lower() != f".{kind}":
        raise InputError(f"--out {out} does not end in .{kind}; change it or --format")
    print(f"{episode.about}: {episode.trajectory.outcome}")
    print(episode.save(out))
    return 0
