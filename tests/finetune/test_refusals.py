"""What a fine-tuning server's refusals mean, and answers of odd shapes, against a server that gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from babyai_kit import finetune
from babyai_kit.errors import ModelError, RateLimited
from babyai_kit.finetune.job_answers import read_events, read_job
from babyai_kit.finetune.refusals import server_words
from tests.support.finetune_examples import curation
from tests.support.third_party_server import ThirdParty

KEY = "sk-canary-1"
CLOSED = "Fine-tuning is no longer available. Existing models keep working."
HERE = "or on this machine"


@pytest.fixture
def export(tmp_path: Path) -> finetune.Export:
    return finetune.export(curation(), tmp_path / "job")


def quiet(line: str) -> None:
    pass


def refused(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


async def launch_error(export: finetune.Export, call: str, *answers: Any) -> tuple[ModelError, ThirdParty]:
    """What `launch` raises if the server gives these `answers` to `call`."""
    async with ThirdParty() as other:
        other.refuse[call] = list(answers)
        with pytest.raises(ModelError) as raised:
            await finetune.launch(finetune.Server(other.base_url, KEY), export, say=quiet)
    assert "\n" not in str(raised.value)
    assert KEY not in str(raised.value)
    return raised.value, other


@pytest.mark.parametrize("call", ["upload", "create"])
@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (403, refused(CLOSED), "refused", [CLOSED, HERE, "OPENAI_BASE_URL"]),
        (403, refused("Training is not available", code="training_not_available"), "refused", [HERE]),
        (403, refused("Your organization may not do this", type="permission_error"), "refused", [HERE]),
        (403, "<html>Forbidden</html>", "refused", ["403: Forbidden", HERE]),
        (400, refused(CLOSED), "refused", [CLOSED, HERE]),
        (410, {"detail": "Gone"}, "refused", ["410: Gone", HERE]),
        (400, refused("Fine-tuning is not supported for model m"), "refused", ["--model", HERE]),
        (400, refused("bad suffix"), "refused", ["400: bad suffix", "fix the cause"]),
        (404, {"detail": "Not Found"}, "unsupported", ["404: Not Found", "fine-tuning API", HERE]),
        (404, "404 page not found", "unsupported", ["404 page not found", HERE]),
        (404, refused("model m does not exist"), "refused", ["model m does not exist", "--model"]),
        (405, {"detail": "Method Not Allowed"}, "unsupported", [HERE]),
        (501, "<html>not here</html>", "unsupported", [HERE]),
        (200, {"error": "Unexpected endpoint or method. (POST /v1/files)"}, "unsupported", [HERE]),
        (401, refused("Incorrect API key provided"), "key refused", ["check OPENAI_API_KEY"]),
        (403, refused("Missing scopes: api.fine_tuning.jobs.write"), "key refused", ["check OPENAI_API_KEY"]),
        (402, refused("Payment required"), "quota", ["add credit"]),
        (403, refused("Your credit balance is too low"), "quota", ["add credit"]),
        (413, "<html>too large</html>", "refused", ["lower --max-per-task"]),
        (422, {"detail": [{"loc": ["body"], "msg": "purpose must be batch"}]}, "refused", ["must be batch"]),
    ],
)
async def test_a_refusal_says_why_and_what_to_do(
    export: finetune.Export, call: str, status: int, body: Any, kind: str, words: list[str]
):
    error, other = await launch_error(export, call, (status, body))
    assert error.kind == kind
    assert [part for part in words if part not in str(error)] == []
    assert ("OPENAI_API_KEY and" in str(error)) == (kind == "key refused" or HERE in str(error))
    assert error.fatal == (kind in ("quota", "key refused", "unsupported") or HERE in str(error))
    assert not error.retryable
    assert other.count(call) == 1


async def test_an_account_without_credit_is_not_asked_again(export: finetune.Export):
    body = refused("You exceeded your current quota", code="insufficient_quota")
    error, other = await launch_error(export, "upload", *[(429, body)] * 9)
    assert (error.kind, error.fatal) == ("quota", True)
    assert "add credit" in str(error)
    assert other.count("upload") == 1


async def test_a_quota_that_comes_back_is_a_limited_rate(export: finetune.Export):
    body = refused("You exceeded your current quota, see billing. Please retry in 3 s.")
    async with ThirdParty() as other:
        other.refuse["upload"] = [(429, body)] * 9
        with pytest.raises(RateLimited):
            await finetune.launch(finetune.Server(other.base_url, max_retries=1), export, say=quiet)
        assert other.count("upload") == 2


async def test_files_that_the_server_no_longer_has_are_to_be_uploaded_anew(export: finetune.Export):
    error, _ = await launch_error(export, "create", (404, refused("No such File object: f1")))
    assert "move job.json away and launch again" in str(error)


async def test_a_job_that_the_server_does_not_know(export: finetune.Export):
    async with ThirdParty(["running"]) as other:
        server = finetune.Server(other.base_url)
        await finetune.launch(server, export, say=quiet)
        other.refuse["show"] = [(404, refused("Could not find fine tune: j1"))]
        with pytest.raises(ModelError, match=r"job's status was refused .* those of the launch"):
            await finetune.wait(server, export.folder, say=quiet)


async def test_a_limited_rate_is_waited_for_also_when_a_job_is_created(export: finetune.Export):
    async with ThirdParty() as other:
        other.refuse = {"upload": [429, 503], "create": [429, (400, refused("file f1 is not ready yet"))]}
        job = await finetune.launch(finetune.Server(other.base_url), export, say=quiet)
        assert job.job_id == "j1"
        assert (len(other.created), other.count("create")) == (1, 3)
    (export.folder / "job.json").unlink()
    async with ThirdParty() as other:
        other.refuse = {"create": [429] * 9}
        with pytest.raises(RateLimited, match="try again later, nothing is lost") as raised:
            await finetune.launch(finetune.Server(other.base_url, max_retries=1), export, say=quiet)
        assert raised.value.retryable
        assert other.count("create") == 2


async def test_what_a_server_says_is_cut_visible_and_without_the_key(export: finetune.Export):
    message = "\x1b[2J" + "x" * 290 + KEY + "\n" + "y" * 100_000
    error, _ = await launch_error(export, "upload", (400, refused(message)))
    assert "␛[2J" in str(error)
    assert "sk-" not in str(error)
    assert len(str(error)) < 500


async def test_a_server_with_a_password_in_its_address_keeps_it(export: finetune.Export):
    async with ThirdParty(["running"]) as other:
        address = other.base_url.replace("://", "://me:p%40ss@")
        server = finetune.Server(address, KEY)
        job = await finetune.launch(server, export, say=quiet)
        assert job.base_url == other.base_url
        assert "p%40ss" not in (export.folder / "job.json").read_text() + repr(server)
        # As an earlier version wrote it.
        content = json.loads((export.folder / "job.json").read_text())
        (export.folder / "job.json").write_text(json.dumps(content | {"base_url": address}))
        assert (await finetune.launch(server, export, say=quiet)) == job
    with pytest.raises(ModelError, match="cannot be reached") as raised:
        await finetune.poll(finetune.Server(address, KEY, max_retries=0), export.folder)
    assert "p%40ss" not in str(raised.value)


async def test_a_job_is_not_created_while_it_is_unknown_whether_it_exists(export: finetune.Export):
    async with ThirdParty() as other:
        other.refuse = {"create": ["lost"], "list": [500] * 9}
        server = finetune.Server(other.base_url, max_retries=0)
        for _ in range(2):
            with pytest.raises(ModelError, match="nothing is lost"):
                await finetune.launch(server, export, say=quiet)
        other.refuse = {}
        assert (await finetune.launch(server, export, say=quiet)).job_id == "j1"
        assert len(other.created) == 1


@pytest.mark.parametrize(
    ("tokens", "read"),
    [(None, None), ("", None), (12, 12), (12.0, 12), ("12", 12), (12.5, None), (-1, None), (True, None)]
    + [(value, None) for value in ("many", "1e999", [3], {"total": 3})],
)
def test_trained_tokens_of_any_shape(tokens: Any, read: int | None):
    assert read_job({"id": "j", "status": "succeeded", "trained_tokens": tokens}).trained_tokens == read


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, "running") for status in ("paused", "", None, 3, ["failed"], {"state": "x"})),
        ("JOB_STATE_SUCCEEDED", "succeeded"),
        ("FAILED_VALIDATION", "failed"),
        ("Canceled", "cancelled"),
    ],
)
def test_a_status_of_any_shape(status: Any, outcome: str):
    assert read_job({"status": status}).outcome == outcome


@pytest.mark.parametrize("data", [None, 3, "text", {"a": 1}, [None, 3, "x", [], {}]])
def test_events_and_words_of_any_shape(data: Any):
    assert [event.message for event in read_events({"data": data})] == [""] * isinstance(data, list)
    assert isinstance(server_words(json.dumps({"error": data}).encode()), str)
    assert isinstance(server_words(json.dumps(data).encode()), str)


async def test_odd_answers_about_a_job_never_end_in_a_traceback(export: finetune.Export):
    odd: list[Any] = [
        [],
        {"id": 7, "status": ["queued"], "trained_tokens": "x", "error": [1], "fine_tuned_model": {"id": "m"}},
        {"status": "archiving", "error": {"message": {"deep": [1]}}, "finished_at": "yesterday"},
    ]
    lines: list[str] = []
    async with ThirdParty(["running", "succeeded"], trained_tokens=88.0) as other:
        other.refuse = {
            "show": [(200, answer) for answer in odd] + [(200, '{"a":' * 5000)],
            "events": [(200, {"data": data, "has_more": True}) for data in (None, 5, [{"id": {}}, 3], [{}])]
            + [(200, {"data": [{"created_at": "1", "message": 4}, {"created_at": None, "id": 9}]})],
        }
        server = finetune.Server(other.base_url, max_retries=0)
        await finetune.launch(server, export, say=quiet)
        job = await finetune.wait(server, export.folder, first_wait_s=0.01, say=lines.append)
    assert (job.job_id, job.outcome, job.fine_tuned_model, job.trained_tokens) == (
        *("j1", "succeeded", "tuned:1"),
        88,
    )
    assert "Status: archiving" in lines
