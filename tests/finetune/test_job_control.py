"""Launching and waiting against a server that is not ours, kills and refusals included."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import finetune
from babyai_kit.errors import InputError, ModelError
from babyai_kit.finetune.provider import connected
from babyai_kit.local.player import OfflinePlayer
from tests.support.finetune_examples import curation
from tests.support.third_party_server import ThirdParty

KEY = "sk-canary-1"


@pytest.fixture
def export(tmp_path: Path) -> finetune.Export:
    return finetune.export(curation(), tmp_path / "job")


def quiet(line: str) -> None:
    pass


async def wait(server: finetune.Server, folder: Path, **options) -> finetune.Job:
    """`finetune.wait`, in a hurry."""
    return await finetune.wait(server, folder, **{"first_wait_s": 0.01, "say": quiet} | options)


async def test_upload_job_events_and_model(export: finetune.Export):
    lines: list[str] = []
    async with ThirdParty(["pending", "warming up", "running", "completed"]) as other:
        other.events = [{"message": "second", "created_at": 2}, {"message": "first", "created_at": 1}]
        server = finetune.Server(other.base_url, KEY)
        job = await finetune.launch(server, export, n_epochs=2, seed=7, say=lines.append)
        assert (job.job_id, job.outcome) == ("j1", "running")
        assert other.files == [export.training_file.read_bytes(), export.validation_file.read_bytes()]
        assert other.created == [
            {
                "model": "gpt-4o-mini-2024-07-18",
                "training_file": "f1",
                "validation_file": "f2",
                "suffix": "act",
                "seed": 7,
                "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}},
            }
        ]
        job = await wait(server, export.folder, say=lines.append)
        assert (job.outcome, job.fine_tuned_model) == ("succeeded", "tuned:1")
        calls = len(other.calls)
        assert await wait(server, export.folder) == await finetune.poll(server, export.folder) == job
        assert await finetune.launch(server, export, say=lines.append) == job
        assert len(other.calls) == calls
    assert lines[0].startswith("Fine-tuning gpt-4o-mini-2024-07-18: 24 examples, 2 epochs")
    assert [line for line in lines if line.startswith("Status")] == [
        *("Status: pending", "Status: warming up", "Status: running", "Status: completed")
    ]
    assert lines.index("  first") < lines.index("  second")
    assert lines.count("  first") == 1
    assert not any("canary" in text for text in [*lines, (export.folder / "job.json").read_text()])


async def test_a_job_is_found_again_by_what_it_was_made_from(export: finetune.Export):
    """Changing one's mind and back: the learner's examples, the base, the epochs; each is paid for once."""
    folder = export.folder
    async with ThirdParty(["succeeded"]) as other:
        server = finetune.Server(other.base_url)

        async def launched(examples: Any, **options: Any) -> finetune.Job:
            again = finetune.export(examples, folder)
            job = await finetune.launch(server, again, say=quiet, **options)
            return await wait(server, folder) if not job.ended else job

        one, two = curation(), curation(seeds=range(20, 30))
        first = await launched(one)
        second = await launched(two)
        longer = await launched(two, n_epochs=4)
        based = await launched(one, model="another")
        assert len({job.job_id for job in (first, second, longer, based)}) == len(other.created) == 4
        for job, examples, options in (
            (first, one, {}),
            (longer, two, {"n_epochs": 4}),
            (based, one, {"model": "another"}),
            (first, one, {}),
        ):
            assert await launched(examples, **options) == job == finetune.read_job(folder)
        assert len(other.created) == 4


async def test_what_was_uploaded_before_another_launch_is_found_again(export: finetune.Export):
    """The answer to the first launch was lost, so that its job may exist."""
    async with ThirdParty(["succeeded"]) as other:
        server = finetune.Server(other.base_url, max_retries=0)
        first = await finetune.launch(server, export, say=quiet)
        content = json.loads((export.folder / "job.json").read_text())
        (export.folder / "job.json").write_text(json.dumps(content | {"job_id": ""}))
        other_examples = finetune.export(curation(seeds=range(20, 30)), export.folder)
        await wait(server, (await finetune.launch(server, other_examples, say=quiet)).folder)
        again = await finetune.launch(server, finetune.export(curation(), export.folder), say=quiet)
        assert (again.job_id, len(other.created)) == (first.job_id, 2)


@pytest.mark.parametrize(
    ("job", "events", "reason"),
    [
        ({"error": {"code": "bad", "message": "no such\nmodel"}}, None, "no such model"),
        ({"error": "plain words"}, None, "plain words"),
        ({"error": {"code": "exceeded_quota"}}, None, "exceeded_quota"),
        (
            {"error": None},
            [{"level": "error", "message": "out of memory"}, {"message": "hm"}],
            "out of memory",
        ),
        ({"error": {}}, None, "the provider gives no reason"),
        ({}, None, "the provider gives no reason"),
    ],
)
async def test_a_failure_is_reported_in_the_providers_words(
    export: finetune.Export, job, events, reason: str
):
    async with ThirdParty(["failed"], **job) as other:
        other.events = events
        server = finetune.Server(other.base_url)
        await finetune.launch(server, export, say=quiet)
        ended = await wait(server, export.folder)
        assert (ended.outcome, ended.error) == ("failed", reason)
        assert reason in str(ended)
        # What came to nothing can be launched anew.
        other.statuses, other.job = ["running"], {}
        assert (await finetune.launch(server, export, say=quiet)).outcome == "running"
        assert len(other.created) == 2


async def test_polling_outlasts_429_and_500_and_a_page_of_html(export: finetune.Export):
    async with ThirdParty(["queued", "succeeded"]) as other:
        other.refuse["show"] = [429, (502, "<html>bad gateway</html>"), None, 503]
        server = finetune.Server(other.base_url)
        await finetune.launch(server, export, say=quiet)
        job = await wait(server, export.folder)
        assert job.outcome == "succeeded"


async def test_waiting_goes_on_when_the_server_is_away_for_long(export: finetune.Export):
    async with ThirdParty(["running", "succeeded"]) as other:
        other.refuse["show"] = [429, "reset", 500, 503]
        server = finetune.Server(other.base_url, max_retries=0)
        await finetune.launch(server, export, say=quiet)
        assert (await wait(server, export.folder)).outcome == "succeeded"
        (export.folder / "job.json").write_text(
            (export.folder / "job.json").read_text().replace('"succeeded"', '"running"')
        )
        other.refuse["show"] = [503] * 99
        with pytest.raises(ModelError, match="try again later, nothing is lost"):
            await wait(server, export.folder, away_s=0.0)


async def test_a_refusal_is_passed_on_and_no_key_with_it(export: finetune.Export):
    async with ThirdParty() as other:
        other.refuse["create"] = [(400, {"error": {"message": f"model not for {KEY}", "param": "model"}})]
        server = finetune.Server(other.base_url, KEY)
        with pytest.raises(ModelError, match=r"status 400: model not for \*\*\*\)") as raised:
            await finetune.launch(server, export, say=quiet)
        assert not raised.value.fatal
        other.refuse["create"] = [(401, {"error": {"message": "bad key"}})]
        with pytest.raises(ModelError, match="check OPENAI_API_KEY") as raised:
            await finetune.launch(server, export, say=quiet)
        assert raised.value.fatal
        # The files went up once.
        assert other.count("upload") == 2
        assert (await finetune.launch(server, export, say=quiet)).job_id == "j1"
        assert other.count("upload") == 2


@pytest.mark.parametrize("lists_jobs", [True, False])
async def test_a_lost_answer_never_makes_a_second_job(export: finetune.Export, lists_jobs: bool):
    async with ThirdParty() as other:
        other.refuse["create"] = ["lost"]
        other.lists_jobs = lists_jobs
        server = finetune.Server(other.base_url)
        if lists_jobs:
            assert (await finetune.launch(server, export, say=quiet)).job_id == "j1"
        else:
            with pytest.raises(ModelError, match="nothing is lost"):
                await finetune.launch(server, export, say=quiet)
        assert other.count("create") == len(other.created) == 1


async def test_a_killed_launch_goes_on_where_it_stopped(export: finetune.Export):
    async with ThirdParty() as other:
        server = finetune.Server(other.base_url)
        for call in ("upload", "create"):
            other.refuse[call] = [None, (400, {"error": {"message": "x"}})][call == "create" :]
            with pytest.raises(ModelError):
                await finetune.launch(server, export, say=quiet)
        job = await finetune.launch(server, export, say=quiet)
        assert other.count("upload") == 3  # the training file once, the validation file once more
        assert len(other.files) == 2
        # As if the process had died after the job was export and before its id was written.
        content = json.loads((export.folder / "job.json").read_text())
        (export.folder / "job.json").write_text(json.dumps(content | {"job_id": ""}))
        assert await finetune.launch(server, export, say=quiet) == job
        assert len(other.created) == 1


async def test_a_running_job_is_not_forgotten_for_other_examples(export: finetune.Export):
    async with ThirdParty(["running"]) as other, ThirdParty() as third:
        server = finetune.Server(other.base_url)
        await finetune.launch(server, export, say=quiet)
        with pytest.raises(
            InputError, match=r"job j1 of .* may still be running on other examples or another server"
        ):
            await finetune.launch(finetune.Server(third.base_url), export, say=quiet)
        more = finetune.export(curation(range(12)), export.folder)
        with pytest.raises(InputError, match="wait for it or cancel it first"):
            await finetune.launch(server, more, say=quiet)
        await finetune.cancel(server, export.folder)
        assert (await finetune.launch(server, more, say=quiet)).digests == more.digests


async def test_many_events_are_asked_for_once_and_cannot_steer_the_terminal(export: finetune.Export):
    lines: list[str] = []
    async with OfflinePlayer(aliases=[export.model]) as player:
        server = finetune.Server(player.base_url)
        await finetune.launch(server, export, say=quiet)
        await wait(server, export.folder)
        async with connected(server) as client:
            job_id = finetune.read_job(export.folder).job_id
            events = await client.events(job_id)
            assert [e.event_id for e in events] == sorted(e.event_id for e in events)
            known = {e.key for e in events[:-2]}
            assert await client.events(job_id, known=known) == events[-2:]
    async with ThirdParty(["failed"], error={"message": "red \x1b[31m\nalarm"}) as other:
        other.events = [{"message": "\x1b]0;title\x07done"}]
        server = finetune.Server(other.base_url)
        (export.folder / "job.json").unlink()
        await finetune.launch(server, export, say=quiet)
        assert (await wait(server, export.folder, say=lines.append)).error == "red ␛[31m alarm"
    # An end is told after what led to it.
    assert lines[-2:] == ["  ␛]0;title␇done", "Status: failed"]


async def test_waiting_can_be_broken_off_and_taken_up(export: finetune.Export):
    async with ThirdParty(["running"]) as other:
        server = finetune.Server(other.base_url)
        await finetune.launch(server, export, say=quiet)
        assert (await wait(server, export.folder, timeout_s=0.05)).status == "running"
        waiting = asyncio.create_task(wait(server, export.folder))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        other.statuses = ["succeeded"]
        assert (await wait(server, export.folder)).fine_tuned_model == "tuned:1"


async def test_a_model_that_is_named_late_or_never(export: finetune.Export):
    async with ThirdParty(["done", "succeeded"], finished_at=1, fine_tuned_model=None) as other:
        server = finetune.Server(other.base_url)
        await finetune.launch(server, export, say=quiet)
        waiting = asyncio.create_task(wait(server, export.folder))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        other.job["fine_tuned_model"] = "late:1"
        assert (await waiting).fine_tuned_model == "late:1"
        other.job["fine_tuned_model"] = None
        (export.folder / "job.json").unlink()
        await finetune.launch(server, export, say=quiet)
        job = await wait(server, export.folder, nameless_s=0.0)
        assert (job.outcome, job.error) == ("failed", "the provider reports success but names no model")


async def test_cancellation(export: finetune.Export):
    async with ThirdParty(["running"]) as other:
        server = finetune.Server(other.base_url)
        await finetune.launch(server, export, say=quiet)
        assert (await finetune.cancel(server, export.folder)).outcome == "cancelled"
        assert (await wait(server, export.folder)).outcome == "cancelled"
        assert (await finetune.cancel(server, export.folder)).outcome == "cancelled"
        assert other.count("cancel") == 1


async def test_a_job_that_ended_before_its_cancellation_is_returned_as_it_ended(export: finetune.Export):
    async with ThirdParty(["succeeded"]) as other:
        other.refuse["cancel"] = [(400, {"error": {"message": "already completed"}})]
        server = finetune.Server(other.base_url)
        await finetune.launch(server, export, say=quiet)
        assert (await finetune.cancel(server, export.folder)).fine_tuned_model == "tuned:1"


async def test_servers_without_this_api_are_recognized(export: finetune.Export):
    async with ThirdParty() as other:
        other.refuse["upload"] = [(200, "<html>welcome</html>")]
        server = finetune.Server(other.base_url, max_retries=0)
        with pytest.raises(ModelError, match="does not offer OpenAI's fine-tuning API"):
            await finetune.launch(server, export, say=quiet)
        other.refuse["upload"] = [(200, {"object": "file"})]
        with pytest.raises(ModelError, match="returned no id for the file"):
            await finetune.launch(server, export, say=quiet)
        with pytest.raises(ModelError, match="status 404"):
            await finetune.launch(finetune.Server(other.base_url + "/nowhere"), export, say=quiet)
    with pytest.raises(ModelError, match="cannot be reached"):
        await finetune.launch(server, export, say=quiet)


async def test_a_folder_without_a_job_is_refused(tmp_path: Path):
    with pytest.raises(InputError, match="no job was launched"):
        await finetune.poll(finetune.Server("http://127.0.0.1:9/v1"), tmp_path)
    (tmp_path / "job.json").write_text("{")
    with pytest.raises(InputError, match="damaged"):
        finetune.read_job(tmp_path)


async def test_against_the_offline_player_with_a_key(export: finetune.Export):
    lines: list[str] = []
    async with OfflinePlayer(api_key=KEY, aliases=[export.model]) as player:
        server = finetune.Server(player.base_url, KEY)
        await finetune.launch(server, export, say=lines.append)
        job = await wait(server, export.folder, say=lines.append)
        assert job.fine_tuned_model.startswith(f"ft:{export.model}:offline:act:")
        assert job.trained_tokens == 3 * export.tokens
        assert [line for line in lines if line.startswith("  Step")]
        with pytest.raises(ModelError, match="Incorrect API key"):
            await finetune.poll(finetune.Server(player.base_url, "wrong"), _running(export.folder))


def _running(folder: Path) -> Path:
    content = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(content | {"outcome": "running"}))
    return folder
