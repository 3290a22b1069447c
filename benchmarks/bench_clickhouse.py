"""Speed of the local ClickHouse: start, small queries, and inserts that wait for their rows.

    python benchmarks/bench_clickhouse.py

Prints one line per figure. Uses a temporary data directory and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from babyai_kit.clickhouse import clickhouse_client, ensure_server_sync

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
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        handle = ensure_server_sync(folder, port=0)
        print(f"start, empty directory: {time.perf_counter() - started:.2f} s")
        client = clickhouse_client(handle.url)
        client.command(TABLE)
        for i in range(VIEWS):
            client.command(VIEW.format(i=i))
        password = urlsplit(handle.url).password or ""
        url = f"http://127.0.0.1:{handle.port}/?database=babyai"
        for concurrency in (1, 16, 64):
            rate, median = asyncio.run(flood(url, password, lambda i: "SELECT 1", 300, concurrency))
            print(f"SELECT 1, {concurrency} at once: {rate:.0f}/s, median {median * 1000:.1f} ms")
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
            what = f"INSERT of a row, {VIEWS} views, {concurrency} at once"
            print(f"{what}: {rate:.0f}/s, median {median * 1000:.1f} ms")
        try:
            status = Path(f"/proc/{handle.pid}/status").read_text()
            print(next(line for line in status.splitlines() if line.startswith("VmRSS")))
        except OSError:
            pass
        client.close()
        handle.close()
        while Path(folder, "clickhouse.json").exists():
            time.sleep(0.1)
        time.sleep(1)


if __name__ == "__main__":
    main()
