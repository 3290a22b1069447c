"""Speed of the local ClickHouse: start, small queries, and inserts that wait for their rows.

    python benchmarks/bench_clickhouse.py [--json PATH]

Uses a temporary data directory and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pandas as pd

from babyai_kit.local.clickhouse import ensure_server_sync
from babyai_kit.store.client import open_client

TABLE = "CREATE TABLE bench (a UInt64, s String) ENGINE = MergeTree ORDER BY a"
VIEW = "CREATE MATERIALIZED VIEW bench_{i} ENGINE = MergeTree ORDER BY a AS SELECT a, length(s) FROM bench"
VIEWS = 3
ROW_BYTES = 2000


async def post(session: aiohttp.ClientSession, url: str, sql: str) -> float:
    """Send one statement; seconds until its answer."""
    started = time.perf_counter()
    async with session.post(url, data=sql.encode()) as response:
        body = await response.read()
        if response.status != 200:
            raise RuntimeError(body.decode())
    return time.perf_counter() - started


async def flood(
    url: str, password: str, make_sql: Callable[[int], str], count: int, concurrency: int
) -> tuple[float, float]:
    """Requests per second, and the median of their seconds."""
    headers = {"X-ClickHouse-User": "babyai", "X-ClickHouse-Key": password}
    times: list[float] = []
    numbers = iter(range(count))
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def worker() -> None:
            for i in numbers:
                times.append(await post(session, url, make_sql(i)))  # noqa: PERF401

        started = time.perf_counter()
        await asyncio.gather(*[worker() for _ in range(concurrency)])
        return count / (time.perf_counter() - started), statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        handle = ensure_server_sync(folder, port=0)
        rows.append({"what": "start, empty directory", "median_ms": 1000 * (time.perf_counter() - started)})
        client = open_client(handle.url)
        client.command(TABLE)
        for i in range(VIEWS):
            client.command(VIEW.format(i=i))
        password = urlsplit(handle.url).password or ""
        url = f"http://127.0.0.1:{handle.port}/?database=babyai"
        for concurrency in (1, 16, 64):
            rate, median = asyncio.run(flood(url, password, lambda i: "SELECT 1", 300, concurrency))
            rows.append(
                {"what": "SELECT 1", "at once": concurrency, "per_s": rate, "median_ms": 1000 * median}
            )
        row = '{{"a":{},"s":"' + "x" * ROW_BYTES + '"}}'
        for concurrency, count in ((1, 50), (16, 1000), (64, 3000)):
            rate, median = asyncio.run(
                flood(
                    url,
                    password,
                    lambda i: "INSERT INTO bench FORMAT JSONEachRow\n" + row.format(i),
                    count,
                    concurrency,
                )
            )
            rows.append(
                {
                    "what": f"INSERT of a row, {VIEWS} views",
                    "at once": concurrency,
                    "per_s": rate,
                    "median_ms": 1000 * median,
                }
            )
        try:
            status = Path(f"/proc/{handle.pid}/status").read_text()
            resident = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
            rows.append({"what": "memory, resident", "MB": int(resident) / 1024})
        except OSError:  # no /proc
            pass
        client.close()
        handle.close()
        while Path(folder, "clickhouse.json").exists():
            time.sleep(0.1)
        time.sleep(1)
    print(pd.DataFrame(rows).round(2).to_string(index=False, na_rep=""))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
