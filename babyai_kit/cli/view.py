"""`view [RUN ...]`: the runs in the browser."""

from __future__ import annotations

import argparse
import asyncio
import sys
import webbrowser
from typing import Any

from babyai_kit.cli.arguments import add_command, add_results


def add(commands: Any) -> None:
    parser = add_command(commands, "view", "show runs in the browser, also while they are written")
    parser.add_argument("runs", metavar="RUN", nargs="*", help="what to show first (default: all runs)")
    add_results(parser)
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1 (default: any free one)")
    parser.add_argument("--open", action="store_true", help="open the browser")
    parser.add_argument("--export", metavar="DIR", help="write these runs as static files there, and end")
    parser.set_defaults(command=_command)


def _command(args: argparse.Namespace) -> int:
    from babyai_kit.viewer.addresses import place_of
    from babyai_kit.viewer.export import export
    from babyai_kit.viewer.library import Library
    from babyai_kit.viewer.server import serve

    if args.export is not None:
        page = export(args.runs, args.export, results=args.results, say=_say)
        print(page)
        if args.open:
            webbrowser.open(page.resolve().as_uri())
        return 0
    place = place_of(args.runs, Library(args.results))

    def on_ready(address: str) -> None:
        print(f"{address}{place}", flush=True)
        if args.open:
            webbrowser.open(f"{address}{place}")

    asyncio.run(serve(args.results, port=args.port, on_ready=on_ready))
    print("the viewer has stopped; the runs are as they were")
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
