"""The TensorZero gateway on the local server: migrations, also interrupted ones, rows, feedback, reads."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from babyai_kit.local.clickhouse import ServerHandle, ensure_server_sync
from babyai_kit.store.client import open_client
from babyai_kit.store.gateway_tables import migrating

pytestmark = pytest.mark.e2e

# In a process of its own: a gateway that loses its store in mid-migration must not take the tests down.
GATEWAY = """
    import os
    os.environ["RUST_LOG"] = "off"
    import asyncio, gc, sys, tempfile
    from aiohttp import web
    from tensorzero import AsyncTensorZeroGateway, ListInferencesRequest

    CONFIG = '''
    [gateway]
    disable_pseudonymous_usage_analytics = true
    [gateway.observability]
    async_writes = false
    [gateway.observability.batch_writes]
    enabled = true
    flush_interval_ms = 50
    max_rows = 1000
    __force_allow_embedded_batch_writes = true
    [functions.act]
    type = "json"
    [functions.act.variants.v]
    type = "chat_completion"
    model = "m"
    json_mode = "on"
    [metrics.success]
    level = "episode"
    optimize = "max"
    type = "boolean"
    [metrics.score]
    level = "episode"
    optimize = "max"
    type = "float"
    [models.m]
    routing = ["p"]
    [models.m.providers.p]
    type = "openai"
    model_name = "m"
    api_base = "http://127.0.0.1:PORT/v1/"
    api_key_location = "none"
    '''
    ANSWER = {"id": "x", "object": "chat.completion", "created": 1, "model": "m",
              "choices": [{"index": 0, "finish_reason": "stop",
                           "message": {"role": "assistant", "content": '{"action": "it\\'s \\\\t"}'}}],
              "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}

    async def main(url, calls):
        app = web.Application()
        async def chat(request):
            return web.json_response(ANSWER)
        app.router.add_post("/v1/chat/completions", chat)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(CONFIG.replace("PORT", str(port)))
            file.flush()
            gateway = await AsyncTensorZeroGateway.build_embedded(config_file=file.name, clickhouse_url=url)
        def ask(i):
            content = {"messages": [{"role": "user", "content": f"step {i}"}]}
            return gateway.inference(function_name="act", input=content, tags={"i": str(i)})
        answers = await asyncio.gather(*[ask(i) for i in range(calls)])
        await asyncio.sleep(0.4)
        for answer in answers[:3]:
            episode = answer.episode_id
            await gateway.feedback(metric_name="success", value=True, episode_id=episode, tags={"t": "x"})
            await gateway.feedback(metric_name="score", value=0.25, episode_id=episode)
        if calls:
            listed = await gateway.list_inferences(
                request=ListInferencesRequest(function_name="act", limit=5, output_source="inference"))
            assert len(listed.inferences) == 5, listed
        run = await gateway.workflow_evaluation_run(variants={"act": "v"}, project_name="p", display_name="d")
        await gateway.workflow_evaluation_run_episode(run_id=run.run_id, task_name="t")
        del gateway
        gc.collect()
        await asyncio.sleep(0.3)
        await runner.cleanup()

    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


OURS = "match(name, '^[A-Z]')"
"""The gateway's tables; those of other tests begin with a lower-case letter."""

COLUMNS = f"""
    SELECT table, name, type FROM system.columns
    WHERE database = 'babyai' AND {OURS.replace("name", "table")} AND NOT startsWith(table, '.')
"""


def run_gateway(url: str, calls: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(GATEWAY), url, str(calls)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def gateway_store(server: ServerHandle) -> ServerHandle:
    """The store after an undisturbed gateway and 100 inferences."""
    process = run_gateway(server.url, 100)
    assert process.returncode == 0, process.stderr[-2000:]
    return server


def test_migrations_rows_feedback_and_reads(gateway_store: ServerHandle):
    client = open_client(gateway_store.url)
    counts = {
        name: client.command(f"SELECT count() FROM {name}")
        for name in ("JsonInference", "ModelInference", "BooleanMetricFeedback", "FloatMetricFeedback")
    }
    assert counts == {
        "JsonInference": 100,
        "ModelInference": 100,
        "BooleanMetricFeedback": 3,
        "FloatMetricFeedback": 3,
    }
    assert client.command("SELECT count() FROM InferenceById") == 100
    assert client.command("SELECT uniqExact(tags['i']) FROM JsonInference") == 100
    raw = client.query("SELECT any(JSONExtractString(output, 'raw')) FROM JsonInference").result_rows
    assert raw == [('{"action": "it\'s \\t"}',)]
    assert client.command("SELECT sum(input_tokens) FROM ModelInference") == 500
    client.close()


def test_interrupted_migrations_are_begun_again(gateway_store: ServerHandle, tmp_path: Path):
    """SIGKILL of gateway and server during the migrations: the next start makes the same tables afresh."""
    with ensure_server_sync(tmp_path, port=0) as handle:
        command = [sys.executable, "-c", textwrap.dedent(GATEWAY), handle.url, "5"]
        gateway = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = open_client(handle.url)
        while "ModelInference" not in client.command("SHOW TABLES"):
            time.sleep(0.05)
        os.kill(handle.pid, signal.SIGKILL)
        gateway.kill()
        gateway.wait()
        with ensure_server_sync(tmp_path, port=0) as again:
            assert again.url == handle.url

            async def build() -> list[tuple[str]]:
                """The tables that a gateway finds when it starts."""
                async with migrating(again, tmp_path):
                    tables = client.query("SHOW TABLES").result_rows
                    process = await asyncio.to_thread(run_gateway, again.url, 5)
                    assert process.returncode == 0, process.stderr[-2000:]
                    return tables

            # A fresh store: among the tables of an interrupted start the gateway waits 15 s at several.
            assert asyncio.run(build()) == []
            columns = set(client.query(COLUMNS).result_rows)
            assert ("ModelInference",) in asyncio.run(build())
            assert client.command("SELECT count() FROM ModelInference") == 10
            client.close()
    clean = open_client(gateway_store.url)
    assert columns == set(clean.query(COLUMNS).result_rows)
    clean.close()
