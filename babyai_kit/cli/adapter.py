"""`adapter`: serve the adapter in front of a model server, for a gateway that runs elsewhere."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from typing import Any

from babyai_kit.cli.arguments import add_command
from babyai_kit.configuration.addresses import ADAPTER_PORT, HOST


def add(commands: Any) -> None:
    parser = add_command(
        commands, "adapter", "serve the adapter between a gateway and the model server of OPENAI_BASE_URL"
    )
    flag = parser.add_argument
    flag("--port", type=int, default=ADAPTER_PORT, help="0: any free port (default: %(default)s)")
    flag("--host", default=HOST, help="address to listen on; containers need 0.0.0.0 (default: %(default)s)")
    parser.set_defaults(command=serve_adapter)


def serve_adapter(args: argparse.Namespace) -> int:
    """Serve until stopped; returns 0. Raises InputError without a model server, or for a port that is
    taken."""
    from babyai_kit.configuration.remedies import ELSEWHERE
    from babyai_kit.configuration.settings import load_settings
    from babyai_kit.errors import ConfigError

    settings = load_settings()
    if not settings.openai_base_url:
        raise ConfigError("the adapter needs a model server; set OPENAI_BASE_URL in .env")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            _serve(
                settings.openai_base_url,
                timeout_s=settings.timeout_s,
                first_timeout_s=settings.first_timeout_s,
                remedies=ELSEWHERE,
                host=args.host,
                port=args.port,
                path="v1",
            )
        )
    return 0


async def _serve(base_url: str, **options: Any) -> None:
    from babyai_kit.local.adapter import Adapter

    async with Adapter(base_url, **options) as adapter:
        print(f"adapter at {adapter.base_url}", flush=True)
        await asyncio.Event().wait()
