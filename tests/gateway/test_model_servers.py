"""Model servers that are not ours: legal answers of unusual form, refusals, slow answers."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from aiohttp import web

from babyai_kit import ACTIONS, connect, run_experiment
from babyai_kit.configuration.dialects import Dialect, first_dialect
from babyai_kit.errors import InputError, ModelError, NoValidAnswers
from babyai_kit.experiment.retries import Backoff
from babyai_kit.local.player import OfflinePlayer
from babyai_kit.runs.answers import invalid_reason
from babyai_kit.runs.run import Run
from tests.support.certificates import make_certificate
from tests.support.model_server import model_server
from tests.support.project import CONFIG

pytestmark = pytest.mark.e2e

Body = dict[str, Any]
BASELINE_SCHEMA = {
    "type": "object",
    "properties": {"action": {"type": "string", "enum": list(ACTIONS)}},
    "required": ["action"],
    "additionalProperties": False,
}
PLAN: Body = {"variants": ["baseline"], "tasks": ["goto"], "seeds": [1]}
STEPS = 64
QUICK = Backoff(first_wait_s=0.01, max_wait_s=0.05)


def plain(content: str | None = '{"action": "turn left"}') -> Body:
    """The smallest usual answer: an agent that turns for ever."""
    message = {"role": "assistant", "content": content}
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "theirs",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13},
    }


@pytest.fixture
def served(data: Path, monkeypatch: pytest.MonkeyPatch):
    """A session on a server that answers each request body by a function; and the bodies it got."""

    @asynccontextmanager
    async def opened(
        answer: Callable[[Body], Any], *, certificate: ssl.SSLContext | None = None, **settings: str
    ) -> AsyncIterator[tuple[Any, list[Body]]]:
        async with model_server(answer, path="/api/v1", certificate=certificate) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
            monkeypatch.setenv("AGENT_MODEL", "theirs")
            for name, value in settings.items():
                monkeypatch.setenv(name, value)
            async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
                yield session, server.asked

    return opened


async def run_one(session: Any, results: Path, **changed: Any) -> pd.Series:
    episodes = await run_experiment(session, "r", **(PLAN | changed), results=results, progress=False)
    return episodes.loc[0]


def without_usage(_: Body) -> Body:
    return {k: v for k, v in plain().items() if k != "usage"}


def with_null_usage(_: Body) -> Body:
    return plain() | {"usage": None}


def with_half_a_usage(_: Body) -> Body:
    return plain() | {"usage": {"prompt_tokens": 10, "completion_tokens": None}}


async def test_a_priced_model_whose_server_tells_half_of_its_usage(served, tmp_path):
    async with served(with_half_a_usage, AGENT_MODEL="gpt-4o-mini") as (session, _):
        row = await run_one(session, tmp_path)
    assert (row["status"], row["episode_length"], row["input_tokens"]) == ("ok", STEPS, 10 * STEPS)
    assert pd.isna([row["output_tokens"], row["cost_usd"]]).all()


@pytest.mark.parametrize("answer", [without_usage, with_null_usage])
async def test_tokens_are_unknown_where_the_server_does_not_tell_them(served, tmp_path, answer):
    # A price is known, and there is nothing to multiply it with.
    async with served(answer, AGENT_MODEL="gpt-4o-mini") as (session, _):
        row = await run_one(session, tmp_path)
    assert (row["status"], row["episode_length"], row["invalid_actions"]) == ("ok", STEPS, 0)
    assert pd.isna([row["input_tokens"], row["output_tokens"], row["cost_usd"]]).all()


async def test_more_fields_than_expected_do_no_harm(served, tmp_path):
    def answer(_: Body) -> Body:
        body = plain()
        body["choices"][0]["message"] |= {"reasoning_content": "hm", "refusal": None, "annotations": []}
        body["choices"][0] |= {"logprobs": None, "stop_reason": None}
        body["usage"] |= {"prompt_tokens_details": {"cached_tokens": 0}, "cost": "free"}
        return body | {"system_fingerprint": None, "service_tier": "x", "kv_transfer_params": None}

    async with served(answer) as (session, asked):
        row = await run_one(session, tmp_path, temperature=0.5, max_tokens=99)
    assert (row["status"], row["invalid_actions"], row["input_tokens"]) == ("ok", 0, 10 * STEPS)
    step = asked[-1]
    assert step["stream"] is False
    assert (step["model"], step["temperature"], step["max_tokens"]) == ("theirs", 0.5, 99)
    assert "max_completion_tokens" not in step
    assert step["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": BASELINE_SCHEMA},
    }
    assert isinstance(step["seed"], int)


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: plain(None),
        lambda _: plain(""),
        lambda _: (
            plain('{"acti') | {"choices": [plain('{"acti')["choices"][0] | {"finish_reason": "length"}]}
        ),
        lambda _: plain("I turn left."),
    ],
    ids=["null", "empty", "cut off", "prose"],
)
async def test_answers_without_an_action_are_the_agents(served, tmp_path, answer):
    async with served(answer) as (session, _):
        row = await run_one(session, tmp_path, stop_after_invalid=0)
    assert row["status"] == "ok"
    assert row["invalid_actions"] == row["episode_length"]


def refusing(
    *parameters: str, status: int = 400, words: str = "{} is not supported"
) -> Callable[[Body], Any]:
    """A server that takes no request with one of these: a parameter, or a type of response_format."""

    def answer(body: Body) -> Any:
        sent = set(body) | {body.get("response_format", {}).get("type", "")}
        refused = [p for p in parameters if p in sent]
        if refused:
            return web.json_response({"error": {"message": words.format(refused[0])}}, status=status)
        return plain()

    return answer


FORMATS = ("json_schema", "json_object")


OLDER = ("max_completion_tokens",)
"""The limit of tokens goes under its older name to servers that are not OpenAI's."""
INSTEAD = "Unsupported parameter: '{}' is not supported with this model. Use 'max_completion_tokens' instead."
DIALECTS = [
    (refusing(), Dialect("schema", OLDER)),
    (refusing("json_object", words="'response_format.type' must be 'json_schema'"), Dialect("schema", OLDER)),
    (refusing("json_schema", words="Invalid value: '{}'; response_format"), Dialect("json", OLDER)),
    (refusing(*FORMATS, status=422, words="unknown field response_format"), Dialect("words", OLDER)),
    (refusing(*FORMATS, status=501, words="structured output is not available"), Dialect("words", OLDER)),
    (refusing(*FORMATS, words="Bad Request"), Dialect("words", OLDER)),
    (refusing("seed"), Dialect("schema", ("seed", *OLDER))),
    (refusing("seed", words="Bad Request"), Dialect("json", ("seed", *OLDER))),
    (refusing("temperature", words="{}: only the default"), Dialect("schema", ("temperature", *OLDER))),
    (refusing(*OLDER, status=422, words="body.{}: Extra inputs are not permitted"), Dialect("schema", OLDER)),
    (refusing("max_tokens", words=INSTEAD), Dialect("schema", ("max_tokens",))),
    (
        refusing(*OLDER, "max_tokens", "seed", *FORMATS, words="Unknown parameter: {}"),
        Dialect("words", ("seed", *OLDER, "max_tokens")),
    ),
]


async def test_what_a_server_refuses_is_found_out_once_and_kept(served, tmp_path):
    answering: list[Callable[[Body], Any]] = []
    async with served(lambda body: answering[-1](body)) as (session, asked):
        for number, (answer, dialect) in enumerate(DIALECTS):
            answering.append(answer)
            plan = PLAN | {"temperature": 0.5, "max_tokens": 99, "results": tmp_path, "progress": False}
            row = (await run_experiment(session, f"r{number}", **plan)).loc[0]
            assert (row["status"], row["invalid_actions"]) == ("ok", 0)
            assert Run.open(f"r{number}", results=tmp_path).manifest.dialects == {"theirs": dialect}
            before = len(asked)
            if number % 4 == 3:
                await run_experiment(session, f"r{number}", **(plan | {"seeds": [1, 2]}))
                # One call to see that the model still answers, and no other form in the whole run.
                assert len(asked) == before + 1 + STEPS
            for body in asked[before - STEPS :]:
                form = body.get("response_format", {}).get("type")
                forms = {"schema": "json_schema", "json": "json_object", "words": None}
                assert form == forms[dialect.answer_format]
                omitted = set(dialect.omitted)
                limit = {"max_completion_tokens"} if not omitted & set(OLDER) else {"max_tokens"} - omitted
                assert {body[name] for name in limit} <= {99}
                assert set(body) & {"seed", "temperature", "max_completion_tokens", "max_tokens"} == (
                    {"seed", "temperature"} - omitted | limit
                )


@pytest.mark.parametrize(
    ("url", "newer"),
    [
        ("", True),
        ("https://api.openai.com/v1/", True),
        ("https://mine.openai.azure.com/openai/v1/", True),
        ("http://127.0.0.1:11434/v1/", False),
        ("https://api.mistral.ai/v1/", False),
    ],
)
def test_under_which_name_the_limit_of_tokens_goes_first(url: str, newer: bool):
    assert first_dialect(url) == Dialect("schema", () if newer else OLDER)


@pytest.mark.parametrize("words", ["max_tokens is too large: 99999", "temperature must be at most 1"])
async def test_a_refused_value_is_no_refused_parameter(served, tmp_path, words):
    def answer(_: Body) -> Any:
        return web.json_response({"error": {"message": words}}, status=400)

    async with served(answer) as (session, asked):
        with pytest.raises(ModelError, match=words):
            await run_one(session, tmp_path)
    assert len(asked) == 1


async def test_a_server_that_is_loading_its_model_refuses_nothing(served, tmp_path, capsys):
    loading = iter([503] * 4)

    def answer(_: Body) -> Any:
        status = next(loading, None)
        return web.json_response({"error": "Loading model"}, status=status) if status else plain()

    async with served(answer) as (session, _):
        row = await run_one(session, tmp_path, backoff=QUICK)
        assert (row["status"], row["invalid_actions"]) == ("ok", 0)
        assert Run.open("r", results=tmp_path).manifest.dialects == {"theirs": Dialect("schema", OLDER)}
    output = capsys.readouterr().out
    assert "Waiting for the model server, at most 10 min: the model server is loading" in output


async def test_a_server_that_says_when_to_come_back_is_waited_for(served, tmp_path):
    away = iter(range(5))

    def answer(_: Body) -> Any:
        if next(away, None) is None:
            return plain()
        return web.Response(status=503, headers={"Retry-After-Ms": "5"})

    async with served(answer) as (session, _):
        row = await run_one(session, tmp_path, backoff=QUICK)
    assert (row["status"], row["invalid_actions"]) == ("ok", 0)


async def test_the_form_that_gives_valid_answers_is_chosen(served, tmp_path):
    """A server that takes a schema and pays no attention to it."""

    def answer(body: Body) -> Body:
        heeded = body.get("response_format", {}).get("type") == "json_object"
        return plain() if heeded else plain("Sure! I would turn left.")

    async with served(answer) as (session, _):
        row = await run_one(session, tmp_path)
        assert row["invalid_actions"] == 0
        assert Run.open("r", results=tmp_path).manifest.dialects == {"theirs": Dialect("json", OLDER)}


async def test_a_run_never_mixes_two_ways_of_asking(served, tmp_path):
    refused: list[str] = []

    def answer(body: Body) -> Any:
        return refusing(*refused)(body)

    async with served(answer) as (session, asked):
        first = await run_one(session, tmp_path)
        refused.append("response_format")
        with pytest.raises(InputError, match="asked theirs with a JSON schema, which its server now refuses"):
            await run_one(session, tmp_path, seeds=[1, 2])
        assert len(asked) == 1 + STEPS + 1
        episodes = await run_experiment(session, "other", **PLAN, results=tmp_path, progress=False)
    assert episodes.loc[0, "variant_digest"] != first["variant_digest"]


async def test_slow_answers_are_waited_for(served, tmp_path):
    slow = iter([0, 0, 3])

    async def answer(_: Body) -> Body:
        await asyncio.sleep(next(slow, 0))
        return plain()

    async with served(answer) as (session, _):
        row = await run_one(session, tmp_path)
    assert row["status"] == "ok"
    assert row["wall_s"] > 3


async def test_a_server_that_never_answers_is_given_up_after_the_timeout_set(served, tmp_path):
    async def answer(_: Body) -> Body:
        await asyncio.sleep(60)
        return plain()

    async with served(answer, AGENT_TIMEOUT_MS="100") as (session, asked):
        with pytest.raises(ModelError, match="did not answer in time"):
            await run_one(session, tmp_path)
    assert len(asked) == 3


def reply(content: str | None, finish_reason: str = "stop") -> Body:
    return plain() | {"choices": [plain(content)["choices"][0] | {"finish_reason": finish_reason}]}


THOUGHT = '<think>The ball is near.</think>\n{"action": "turn left"}'


@pytest.mark.parametrize(
    ("answer", "reason", "remedy"),
    [
        (reply("", "length"), "cut off", "raise max_tokens"),
        (reply(THOUGHT), "wrapped", "reasoning parser"),
        (reply('```json\n{"action": "turn left"}\n```'), "wrapped", "JSON"),
        (reply(None, "content_filter"), "refused", "read the answers"),
        (reply(""), "empty", "chat template"),
        (plain() | {"choices": [{"finish_reason": "SAFETY"}]}, "refused", "read the answers"),
        (plain() | {"choices": []}, "empty", "chat template"),
    ],
    ids=["reasoning", "think", "fence", "filter", "empty", "no message", "no choice"],
)
async def test_answers_of_which_none_is_valid_stop_a_run_and_say_why(
    served, tmp_path, capsys, answer, reason, remedy
):
    async with served(lambda _: answer) as (session, _):
        with pytest.raises(NoValidAnswers, match=f"{reason}.*{remedy}"):
            await run_one(session, tmp_path, max_concurrency=1)
    told = capsys.readouterr().out
    assert f"The first answer of theirs to baseline is not valid ({reason})" in told
    run = Run.open("r", results=tmp_path)
    (steps,) = run.step_records().values()
    assert len(steps) == 50
    assert {invalid_reason(step) for step in steps} == {reason}
    assert {step.finish_reason for step in steps} <= {"length", "content_filter", "stop", None}


async def test_what_a_filter_refuses_or_a_server_breaks_off_in_the_middle_of_a_run(served, tmp_path):
    """The first is the agent's, the second is not, whatever the status."""
    refused = {"message": "The response was filtered", "code": "content_filter"}
    broken = [{"index": 0, "finish_reason": "error", "message": {"content": ""}, "error": {"code": 502}}]
    odd = {
        20: web.json_response({"error": refused}, status=400),
        30: plain() | {"choices": broken},
        31: plain() | {"choices": [broken[0] | {"error": None}]},
    }
    asked = iter(range(10**6))
    async with served(lambda _: odd.get(next(asked), plain())) as (session, _):
        row = await run_one(session, tmp_path, max_concurrency=1, backoff=QUICK)
    assert (row["status"], row["episode_length"], row["invalid_actions"]) == ("ok", STEPS, 1)
    (steps,) = Run.open("r", results=tmp_path).step_records().values()
    (invalid,) = [step for step in steps if not step.valid]
    assert (invalid.finish_reason, invalid_reason(invalid)) == ("content_filter", "refused")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (402, {"error": {"message": "Insufficient Balance"}}, "out of credit"),
        (
            429,
            {"error": {"message": "You exceeded it", "code": "insufficient_quota"}},
            "billing",
        ),
        (401, {"error": {"message": "no"}}, "set OPENAI_API_KEY"),
        (308, {}, "set OPENAI_BASE_URL"),
    ],
)
async def test_what_only_the_user_can_mend_stops_at_once(served, tmp_path, status, body, words):
    asked: list[int] = []

    def answer(_: Body) -> Any:
        asked.append(1)
        headers = {"Location": "https://other.example/v1"} if status == 308 else {}
        return plain() if len(asked) < 5 else web.json_response(body, status=status, headers=headers)

    async with served(answer) as (session, _):
        with pytest.raises(ModelError, match=words) as raised:
            await run_one(session, tmp_path, max_concurrency=1)
    assert raised.value.fatal
    assert len(asked) == 5


async def test_a_window_of_the_rate_is_waited_out_and_costs_no_try(served, tmp_path):
    """More refusals than a call has tries, each with the time when to come back."""
    refusals = 0

    def answer(_: Body) -> Any:
        nonlocal refusals
        refusals += 1
        if refusals % 15 and refusals < 60:
            return web.json_response({"error": "slow down"}, status=429, headers={"Retry-After-Ms": "1"})
        return plain()

    async with served(answer) as (session, _):
        row = await run_one(session, tmp_path, backoff=QUICK)
    assert (row["status"], row["episode_length"]) == ("ok", STEPS)


async def test_a_private_certificate_authority_is_trusted_if_the_user_names_it(served, tmp_path, monkeypatch):
    certificate = make_certificate(tmp_path)
    async with served(lambda _: plain(), certificate=certificate.context) as (session, _):
        with pytest.raises(ModelError, match="certificate is not trusted; let SSL_CERT_FILE name"):
            await run_one(session, tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    async with served(lambda _: plain(), certificate=certificate.context) as (session, _):
        row = await run_one(session, tmp_path)
    assert row["status"] == "ok"


async def test_proxy_variables_do_not_reach_this_machine(served, tmp_path, monkeypatch):
    """The gateway opens connections as they are needed, long after it was built."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with served(lambda _: plain()) as (session, _):
        episodes = await run_experiment(
            session,
            "r",
            **(PLAN | {"seeds": range(8)}),
            max_concurrency=200,
            results=tmp_path,
            progress=False,
        )
        assert (await session.store_answers()) is True
    assert set(episodes["status"]) == {"ok"}


async def test_an_unreachable_network_is_told_with_the_host_and_what_to_check(tmp_path, data, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "https://no-such-host.invalid/v1/")
    monkeypatch.setenv("AGENT_MODEL", "theirs")
    async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
        with pytest.raises(ModelError) as raised:
            await run_one(session, tmp_path, backoff=QUICK)
    told = str(raised.value)
    assert (
        "no-such-host.invalid cannot be reached; check the network connection or the proxy settings" in told
    )
    assert "check its name, the key" not in told
    assert "is running" not in told


async def test_settings_apply_to_registered_models_too(tmp_path, data, monkeypatch):
    """Address, key and time limit of the settings, whatever they were when the model was registered."""
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    (config / "finetuned").mkdir()
    (config / "finetuned" / "old.toml").write_text(
        """
[models.old]
routing = ["primary"]
[models.old.providers.primary]
type = "openai"
model_name = "ft:old"
api_base = "http://127.0.0.1:9/v1/"
api_key_location = "none"
timeouts = { non_streaming.total_ms = 1 }
[functions.act.variants.old]
type = "chat_completion"
model = "old"
templates.system.path = "../functions/act/system.minijinja"
templates.user.path = "../functions/act/user.minijinja"
json_mode = "on"
"""
    )
    monkeypatch.setenv("AGENT_TIMEOUT_MS", "2000000")
    async with OfflinePlayer(aliases=["ft:old"], latency_s=0.01) as player:
        monkeypatch.setenv("OPENAI_BASE_URL", player.base_url)
        async with connect(env_file=None, config=config, data=data, quiet=True) as session:
            row = await run_one(session, tmp_path, variants=["old"])
    assert row["status"] == "ok"
