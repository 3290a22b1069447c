"""The process that `launcher` starts: serves a data directory and stops after its last user.

To start one by hand, use `python -m babyai_kit clickhouse`.
"""

from __future__ import annotations

import argparse
import sys

from babyai_kit.local.clickhouse import serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m babyai_kit.local.clickhouse")
    parser.add_argument("--path", required=True)
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    sys.exit(serve(arguments.path, arguments.port, by_hand=False))
