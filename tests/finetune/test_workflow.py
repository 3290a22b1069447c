"""The gateway's optimization workflow. Its upload goes to OpenAI alone but for a private hook of TensorZero's
own tests, which is set in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from babyai_kit import finetune, run_experiment
from babyai_kit.errors import InputError
from babyai_kit.local.player import OfflinePlayer
from tests.finetune.conftest import Open
from tests.support.project import CONFIG, ROOT

pytestmark = pytest.mark.e2e

SCRIPT = """
import asyncio, os, sys
from babyai_kit import connect, finetune
from babyai_kit.errors import ModelError

async def main(config, data, results, folder):
    async with connect(env_file=None, config=config, data=data, quiet=True) as session:
        for _ in range(3):  # the first is refused, the third finds the job of the second
            curation = await finetune.curate(session, "collect", "baseline", max_per_task=4, results=results)
            try:
                job = await finetune.launch_workflow(session, curation, folder, n_epochs=1)
            except ModelError as error:
                print("Refused:", error)
        print(await finetune.wait(finetune.Server(job.base_url, "sk-x"), folder))
        curation = await finetune.curate(session, "talk", "dialogue", results=results)
        await finetune.launch_workflow(session, curation, folder + "-dialogue", n_epochs=1)

asyncio.run(main(*sys.argv[1:]))
sys.stdout.flush()
os._exit(0)
"""


async def test_the_workflow_uploads_what_was_curated(
    open_offline: Open, collected: Path, data: Path, tmp_path: Path
):
    async with open_offline() as session:
        curation = await finetune.curate(session, "collect", "baseline", max_per_task=4, results=collected)
        plan = {"tasks": ["goto"], "seeds": range(5), "history_length": 4}
        await run_experiment(session, "talk", ["dialogue"], **plan, results=collected, progress=False)
        dialogues = await finetune.curate(session, "talk", "dialogue", results=collected)

    async with OfflinePlayer(aliases=["gpt-4o-mini-2024-07-18"]) as player, aiohttp.ClientSession() as client:
        refusals = [{"error": {"message": "Fine-tuning is closed.", "type": "invalid_request_error"}}]

        async def relay(http: web.Request) -> web.Response:
            if http.match_info["rest"] == "fine_tuning/jobs" and refusals:
                return web.json_response(refusals.pop(), status=403)
            headers = {k: v for k, v in http.headers.items() if k in ("Content-Type", "Authorization")}
            url = player.base_url + http.match_info["rest"]
            async with client.request(http.method, url, data=await http.read(), headers=headers) as answer:
                return web.Response(
                    body=await answer.read(), status=answer.status, content_type="application/json"
                )

        app = web.Application()
        app.router.add_route("*", "/openai/{rest:.*}", relay)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        hook = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SCRIPT, CONFIG, data, collected, tmp_path / "job"),
            cwd=ROOT,
            env=os.environ
            | {
                "OPENAI_API_KEY": "sk-x",
                "AGENT_MODEL": "gpt-4o-mini-2024-07-18",
                "TENSORZERO_INTERNAL_MOCK_PROVIDER_API": hook,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await asyncio.wait_for(process.communicate(), 120))[0].decode()
        assert process.returncode == 0, output
        async with client.get(player.base_url + "files?purpose=fine-tune") as answer:
            uploads = (await answer.json())["data"]
        assert len(uploads) == 3, output
        files = []
        for upload in uploads:
            async with client.get(f"{player.base_url}files/{upload['id']}/content") as answer:
                files.append([json.loads(line) for line in (await answer.text()).splitlines()])
        await runner.cleanup()

    assert "succeeded, ft:gpt-4o-mini-2024-07-18:offline:act:" in output
    assert output.count("Already launched") == 1
    assert "Refused: OpenAI did not create the job, and the gateway hides why; launch without" in output

    def messages(row: dict) -> tuple:
        return tuple((m["role"], m["content"]) for m in row["messages"])

    longest = {max(len(row["messages"]) for row in rows): rows for rows in files}
    for rows, of in ((longest[3], curation), (longest[11], dialogues)):
        ours = sorted((*e.prompt, ("assistant", e.answer)) for e in of.examples)
        assert sorted(map(messages, rows)) == ours
        assert len(ours) > 20
    assert {len(e.prompt) for e in dialogues.examples} == {2, 4, 6, 8, 10}


async def test_without_openai_the_workflow_is_refused_before_it_writes(
    open_offline: Open, collected: Path, tmp_path: Path
):
    async with open_offline() as session:
        curation = await finetune.curate(session, "collect", "baseline", max_per_task=4, results=collected)
        with pytest.raises(InputError, match="fine-tunes at OpenAI only"):
            await finetune.launch_workflow(session, curation, tmp_path / "job")
    assert not (tmp_path / "job").exists()
