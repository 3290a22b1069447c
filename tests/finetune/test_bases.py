"""Which bases OpenAI fine-tunes, told before anything is played or uploaded. Nothing here reaches OpenAI."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from babyai_kit import finetune
from babyai_kit.configuration import addresses
from babyai_kit.configuration.models import DEFAULT_MODEL
from babyai_kit.configuration.settings import Settings, load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import InputError
from babyai_kit.finetune.bases import check_base
from babyai_kit.gateway.session import Session
from tests.support.finetune_examples import curation
from tests.support.model_server import own_model
from tests.support.plain_gateway import PlainGateway
from tests.support.project import CONFIG
from tests.support.third_party_server import ThirdParty

TODAY = date(2026, 11, 27)
AFTER = date(2027, 1, 20)
KEY = "sk-canary-bases"
NOWHERE = "http://127.0.0.1:9/v1"


def at_openai() -> Session:
    """A session with OpenAI's key and the default model; its gateway asks nobody."""
    settings = Settings(model=DEFAULT_MODEL, openai_base_url=addresses.OPENAI, openai_api_key=KEY)
    nowhere = "http://127.0.0.1:9/nowhere"
    return Session(PlainGateway(), load_config(CONFIG, settings), settings, clickhouse_url=nowhere)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("base", [DEFAULT_MODEL, "gpt-5-mini", "gpt-10", "o3", "chatgpt-4o-latest"])
def test_a_base_that_openai_never_tunes_is_refused_with_those_it_tunes(base: str):
    with pytest.raises(InputError) as refused:
        check_base(base, addresses.OPENAI, TODAY)
    line = str(refused.value)
    assert line.startswith(
        f"OpenAI does not fine-tune {base}, only gpt-4.1-mini-2025-04-14, gpt-4.1-2025-04-14, "
    )
    assert "until 2027-01-06; set AGENT_MODEL to one of these before the run, or fine-tune at another" in line
    assert "AGENT_MODEL=smollm2-135m" in line
    with pytest.raises(InputError, match=r"and no other model since 2027-01-06; fine-tune at another server"):
        check_base(base, addresses.OPENAI, AFTER)


def test_a_base_that_goes_is_told_and_left_to_openai():
    tuned = "ft:gpt-4o-mini-2024-07-18:org:act:1"
    for base in ("gpt-4o-mini-2024-07-18", tuned):
        assert check_base(base, addresses.OPENAI, TODAY) == (
            f"OpenAI creates fine-tuning jobs until 2027-01-06; {base} and what is fine-tuned from it leave "
            "its API on 2027-01-14, in 48 days"
        )
        assert check_base(base, addresses.OPENAI, AFTER) == (
            f"OpenAI has created no fine-tuning jobs since 2027-01-06; {base} and what is fine-tuned from it "
            "left its API on 2027-01-14"
        )
    assert check_base("of-tomorrow", addresses.OPENAI, TODAY) == (
        "OpenAI creates fine-tuning jobs until 2027-01-06"
    )


def test_other_servers_are_asked():
    for base in (DEFAULT_MODEL, "gpt-4o-mini-2024-07-18", "meta-llama/Llama-3.1-8B-Instruct"):
        for url in ("https://api.together.xyz/v1/", "http://127.0.0.1:8000/v1/", ""):
            assert check_base(base, url, TODAY) is None


async def test_the_default_model_is_refused_before_anything_is_uploaded(tmp_path: Path):
    export = finetune.export(curation(), tmp_path / "job")
    lines: list[str] = []
    with pytest.raises(InputError, match=f"OpenAI does not fine-tune {DEFAULT_MODEL}"):
        await finetune.launch(
            finetune.Server(addresses.OPENAI, KEY), export, model=DEFAULT_MODEL, say=lines.append
        )
    with pytest.raises(InputError, match=f"OpenAI does not fine-tune {DEFAULT_MODEL}"):
        await finetune.launch_workflow(
            at_openai(), curation(), tmp_path / "workflow", model=DEFAULT_MODEL, say=lines.append
        )
    assert lines == []
    assert not {name for folder in ("job", "workflow") for name in names_in(tmp_path / folder)} & {"job.json"}


async def test_another_server_fine_tunes_a_base_of_that_name(tmp_path: Path):
    export = finetune.export(curation(), tmp_path / "job")
    async with ThirdParty(["succeeded"]) as other:
        job = await finetune.launch(finetune.Server(other.base_url), export, model=DEFAULT_MODEL, say=str)
    assert job.job_id == "j1"


async def test_improve_refuses_before_an_episode_is_paid_for(tmp_path: Path):
    session = at_openai()

    @contextlib.asynccontextmanager
    async def open_session() -> AsyncIterator[Session]:
        yield session

    with pytest.raises(InputError, match=f"OpenAI does not fine-tune {DEFAULT_MODEL}"):
        await finetune.improve("no", open_session=open_session, results=tmp_path, say=str)
    assert names_in(tmp_path) == set()


def test_the_form_is_not_filled_in_with_a_base_that_nobody_tunes():
    guide = finetune.form_guide(at_openai(), curation(), model=DEFAULT_MODEL)
    assert f"a base that its provider fine-tunes, not {DEFAULT_MODEL}" in guide


def session_at(folder: Path, address: str, own: str, *, served: str = "x", at: str = NOWHERE) -> Session:
    """A session on the server at `address` (empty: the offline player) with the model `own` of
    config/models.toml, which the server `at` calls `served`; its gateway asks nobody."""
    config = Path(shutil.copytree(CONFIG, folder / "config"))
    (config / "models.toml").write_text(own_model(own, at).replace(f"{own}-as-served", served))
    loaded = load_config(config, load_settings(None, {"OPENAI_BASE_URL": address} if address else {}))
    url = loaded.settings.openai_base_url or NOWHERE
    return Session(PlainGateway(), loaded, loaded.settings, clickhouse_url=NOWHERE, model_url=url)


@pytest.mark.parametrize("asked", [False, True])
async def test_a_model_of_another_server_is_refused_before_anything_is_uploaded(tmp_path: Path, asked: bool):
    """Whether it played the episodes or is asked for."""
    export = finetune.export(replace(curation(), model="base" if asked else "theirs"), tmp_path / "job")
    async with ThirdParty() as here:
        session = session_at(tmp_path, here.base_url, "theirs")
        with pytest.raises(InputError) as refused:
            await finetune.launch(session, export, model="theirs" if asked else None, say=[].append)
        assert here.calls == []
        assert str(refused.value) == (
            f"theirs is not a model of {here.base_url}/, where fine-tuning is done; name a base there: "
            "--model NAME (in Python: model=), or set AGENT_MODEL to one before the run"
        )
        for name in ("anthropic::claude-x", "offline-player"):
            with pytest.raises(InputError, match=f"{name} is not a model of"):
                await finetune.launch(session, export, model=name, say=[].append)
        assert here.calls == []
        await finetune.launch(session, export, model="a-base-of-theirs", say=[].append)
        assert here.created[0]["model"] == "a-base-of-theirs"


async def test_a_model_that_the_server_knows_by_another_name_is_to_be_called_so(tmp_path: Path):
    export = finetune.export(replace(curation(), model="mine"), tmp_path / "job")
    async with ThirdParty() as here:
        session = session_at(tmp_path, here.base_url, "mine", served="llama", at=here.base_url)
        with pytest.raises(InputError, match="name it as that server does: --model llama"):
            await finetune.launch(session, export, say=[].append)
        assert here.calls == []
        await finetune.launch(session, export, model="llama", say=[].append)
        assert here.created[0]["model"] == "llama"


async def test_a_model_of_the_file_does_not_go_to_the_offline_player(tmp_path: Path):
    export = finetune.export(replace(curation(), model="theirs"), tmp_path / "job")
    session = session_at(tmp_path, "", "theirs")
    with pytest.raises(InputError, match="theirs is not a model of the offline player, where fine-tuning"):
        await finetune.launch(session, export, say=[].append)


async def test_improve_refuses_it_before_anything_is_played(tmp_path: Path):
    async with ThirdParty() as here:
        session = session_at(tmp_path, here.base_url, "theirs")

        @contextlib.asynccontextmanager
        async def opened() -> AsyncIterator[Session]:
            yield session

        with pytest.raises(InputError, match="theirs is not a model of"):
            await finetune.improve("i", models=["theirs"], open_session=opened, results=tmp_path)
        assert here.calls == []
    assert not (tmp_path / "i-1-train").exists()
