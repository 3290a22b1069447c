"""What the language model of this machine learns, on unseen seeds: from its own experience, from the expert.

Plays straight in the environment (see rollouts), by parts (see parts). Every one is measured on the test
block, greedily and at temperature 0.7, since a half-trained model that plays greedily walks in circles.

Results and weights are written part by part under --folder, and the same command goes on where it stopped.
`make bench-llm` runs it; one thread of PyTorch, CPU minutes as the table says.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import parts
import torch
from study import Study, report


def main() -> None:
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n{parts.__doc__}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    flag = parser.add_argument
    flag("--json", type=Path)
    flag("--folder", type=Path, default=Path("results/bench/llm"))
    flag("--parts", nargs="+", choices=parts.PARTS, default=list(parts.PARTS))
    flag("--seeds", type=int, nargs="+", default=[0, 1], help="training seeds")
    flag("--test", type=int, default=100, help="test seeds")
    flag("--random-repeats", type=int, default=4, help="random episodes of each start")
    flag("--decisions", type=int, default=2600, help="trained on in the part own")
    flag("--again-decisions", type=int, default=4500, help="trained on in the part again")
    flag("--demonstrations", type=int, default=400, help="of each task")
    flag("--expert-minutes", type=float, default=30, help="CPU minutes of each training in the part expert")
    flag(
        "--variants",
        nargs="+",
        choices=("dialogue", "baseline", "history"),
        default=["dialogue", "baseline"],
        help="prompts of the part expert",
    )
    flag("--further-minutes", type=float, default=30, help="CPU minutes of the part further")
    flag("--rounds", type=int, default=3)
    flag("--round-starts", type=int, default=400, help="train seeds of each task in the part rounds")
    flag("--round-repeats", type=int, default=100, help="random episodes of each start in the part rounds")
    flag("--round-seeds", type=int, default=60, help="train seeds of each task that a round's model plays")
    flag("--round-minutes", type=float, default=20, help="CPU minutes of each training in the part rounds")
    flag("--longer-minutes", type=float, default=25, help="CPU minutes of the part longer")
    flag("--threads", type=int, default=1, help="of PyTorch")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for part in args.parts:
        for seed in args.seeds:
            parts.PARTS[part](Study(args.folder, seed, args))
    rows = report(args.folder)
    print(rows.round(1).to_string(index=False))
    if args.json:
        args.json.write_text(rows.to_json(orient="records", indent=2))


if __name__ == "__main__":
    main()
