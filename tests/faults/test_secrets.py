"""A planted key, and the store's password, reach no journal, row, log, output or error text."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from aiohttp import web
from nbclient import NotebookClient

from babyai_kit import load_episodes
from babyai_kit.local.clickhouse import ensure_server_sync
from babyai_kit.store.client import open_client
from tests.support.processes import environment
from tests.support.project import make_project

pytestmark = pytest.mark.e2e

CANARY = "sk-canary-0123456789abcdef"


async def indiscreet(asked: asyncio.Queue[str]) -> web.AppRunner:
    """A model server that repeats the key in its refusals: 400 to one mission, 401 to one seed."""

    async def chat(request: web.Request) -> web.Response:
        key = request.headers["Authorization"]
        asked.put_nowait(key)
        asked_for = (await request.json())["messages"][-1]["content"]
        if "pick up" in asked_for:
            return web.json_response({"error": {"message": f"What is {key}?"}}, status=400)
        if asked.qsize() > 90:
            return web.json_response({"error": {"message": f"Incorrect key: {key}"}}, status=401)
        message = {"role": "assistant", "content": '{"action": "turn left"}'}
        choice = {"index": 0, "finish_reason": "stop", "message": message}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
        return web.json_response(body | {"choices": [choice], "usage": usage})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


CELL = """
from babyai_kit import connect, run_experiment
async with connect() as session:
    print(session, session.settings)
    try:
        await run_experiment(session, "n", ["baseline"], ["goto"], [1])
    except Exception as error:
        print(repr(error))
    await run_experiment(session, "n", ["baseline"], ["goto"], [1])
"""


async def test_a_planted_key_is_found_nowhere(tmp_path: Path, data_alone: Path):
    project = make_project(tmp_path / "project", data_alone)
    asked: asyncio.Queue[str] = asyncio.Queue()
    server = await indiscreet(asked)
    url = f"http://127.0.0.1:{server.addresses[0][1]}/v1"
    (project / ".env").write_text(f"OPENAI_API_KEY={CANARY}\nOPENAI_BASE_URL={url}\nAGENT_MODEL=m\n")
    with ensure_server_sync(data_alone) as store:
        words = ["run", "r", "--variants", "baseline", "--tasks", "goto,pickup", "--seeds", "0:3"]
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "babyai_kit", *words, "--concurrency", "2"],
            cwd=project,
            env=environment(),
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 1
        assert b"refused the key" in done.stdout + done.stderr
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
        client = NotebookClient(
            notebook, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(project)}}
        )
        await client.async_execute(env=environment())
        shown = json.dumps(notebook)
        assert "refused the key" in shown
        assert "ModelError" in shown
        rows = await asyncio.to_thread(everything_in, store.url)
        password = store.url.split(":")[2].split("@")[0]
    await server.cleanup()
    assert asked.get_nowait() == f"Bearer {CANARY}"
    assert "bad request: " in "".join(load_episodes("r", results=project / "results")["error"].dropna())
    assert "turn left" in rows
    texts = [done.stdout.decode(), done.stderr.decode(), shown, rows]
    texts += [path.read_text() for path in (project / "results").rglob("*") if path.is_file()]
    texts += [(data_alone / "clickhouse.log").read_text()]
    texts += [
        p.read_bytes().decode(errors="replace") for p in (data_alone / "clickhouse").rglob("*") if p.is_file()
    ]
    assert not [text for text in texts if CANARY in text]
    assert not [text for text in texts if password in text]
    assert (data_alone / "clickhouse.password").stat().st_mode & 0o077 == 0


def everything_in(url: str) -> str:
    """Every row of every table."""
    client = open_client(url)
    names = client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows
    found = "".join(
        client.raw_query(f"SELECT * FROM `{name}` FORMAT JSONEachRow").decode(errors="replace")
        for (name,) in names
    )
    client.close()
    return found
