from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tomlkit

from babyai_kit.agents.template_agent import SAMPLE_ARGUMENTS
from babyai_kit.configuration.gateway_toml import model_toml, write_snapshot
from babyai_kit.configuration.prices import Price
from babyai_kit.configuration.settings import Settings, load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import InputError, ModelError
from babyai_kit.finetune import register_variant, unregister_variant
from babyai_kit.gateway.protocol import Question
from babyai_kit.gateway.tensorzero_client import TensorZeroGateway

OFFLINE = load_settings(None, {})
HOSTED = load_settings(None, {"OPENAI_API_KEY": "sk-canary"})
OWN = load_settings(None, {"OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"})
TUNED = "ft:gpt-4o-mini-2024-07-18:org:act:abc"
SNIPPET = f"""
[models."{TUNED}"]
routing = ["{TUNED}"]

[models."{TUNED}".providers."{TUNED}"]
type = "openai"
model_name = "{TUNED}"
"""


def read(file: Path) -> dict:
    return tomlkit.parse(file.read_text()).unwrap()


def provider(file: Path) -> dict:
    (model,) = read(file)["models"].values()
    (first,) = model["routing"]
    return model["providers"][first]


@pytest.mark.parametrize("source", [{"model": TUNED}, {"snippet": SNIPPET}])
def test_a_registered_variant_has_the_prompts_it_learned_with(config: Path, source: dict):
    before = {p: p.read_bytes() for p in config.rglob("*") if p.is_file()}
    file = register_variant("history_sft", **source, config=config, settings=HOSTED)
    assert {p: p.read_bytes() for p in before} == before
    variants = load_config(config, HOSTED).variants
    assert variants["history_sft"].model == TUNED
    assert variants["history_sft"].templates == variants["history"].templates
    assert variants["history_sft"].digest == variants["history"].digest
    assert "canary" not in file.read_text()
    assert [c["cost_per_million"] for c in provider(file)["cost"]] == [0.3, 1.2]
    assert not {"api_base"} & set(provider(file))


def test_what_a_dialogue_taught_is_a_dialogue(config: Path):
    register_variant("talker", model=TUNED, like="dialogue", config=config, settings=HOSTED)
    assert load_config(config, HOSTED).variants["talker"].dialogue


def test_registering_again_changes_nothing_and_another_model_replaces_it(config: Path):
    def register(model: str) -> Path:
        return register_variant("history_sft", model=model, config=config, settings=HOSTED)

    file = register(TUNED)
    stamp = file.stat().st_mtime_ns
    assert register(TUNED).stat().st_mtime_ns == stamp
    register("ft:other")
    assert load_config(config, HOSTED).variants["history_sft"].model == "ft:other"
    assert [p.name for p in file.parent.iterdir()] == ["history_sft.toml"]
    unregister_variant("history_sft", config=config)
    assert "history_sft" not in load_config(config, HOSTED).variants
    with pytest.raises(InputError, match="is not registered"):
        unregister_variant("history_sft", config=config)


def test_a_tuned_variant_may_be_tuned_again(config: Path):
    register_variant("history_sft", model=TUNED, config=config, settings=HOSTED)
    register_variant("again", model="ft:b", like="history_sft", config=config, settings=HOSTED)
    variants = load_config(config, HOSTED).variants
    assert variants["again"].templates == variants["history"].templates
    assert (variants["again"].model, variants["history_sft"].model) == ("ft:b", TUNED)


def test_the_image_gets_an_address_that_it_can_reach(config: Path):
    def address(settings) -> str | None:
        file = register_variant("history_sft", model="m", config=config, settings=settings)
        return provider(file).get("api_base")

    assert address(HOSTED) is None
    assert address(OWN) == "http://host.docker.internal:8000/v1/"
    assert address(OFFLINE) == "http://player:18124/v1/"


def snapshot(config: Path, folder: Path) -> Path:
    """The configuration as an embedded gateway gets it, with its model server at port 5."""
    folder.mkdir()
    write_snapshot(load_config(config, OFFLINE), OFFLINE, folder, base_url="http://127.0.0.1:5/v1/")
    return folder / "config"


def test_the_embedded_gateway_gets_the_present_address(config: Path, tmp_path: Path):
    file = register_variant("history_sft", model="m", config=config, settings=HOSTED)
    pointed = provider(snapshot(config, tmp_path / "copy") / "finetuned" / file.name)
    assert (pointed["api_base"], pointed["api_key_location"]) == ("http://127.0.0.1:5/v1/", "none")
    assert provider(file)["api_key_location"] == "env::OPENAI_API_KEY"


def test_another_providers_snippet_is_kept_as_it_is_and_left_out_without_its_key(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    snippet = SNIPPET.replace('"openai"', '"fireworks"') + 'api_key_location = "env::FIREWORKS_API_KEY"\n'
    register_variant("history_sft", snippet=snippet, config=config, settings=HOSTED)
    without = (snapshot(config, tmp_path / "without") / "finetuned/history_sft.toml").read_text()
    assert "[functions.act.variants.history_sft]" not in without
    assert "fireworks" not in without
    monkeypatch.setenv("FIREWORKS_API_KEY", "fw-x")
    own = provider(snapshot(config, tmp_path / "copy") / "finetuned/history_sft.toml")
    assert (own["type"], own["api_key_location"]) == ("fireworks", "env::FIREWORKS_API_KEY")
    assert "api_base" not in own


@pytest.mark.e2e
@pytest.mark.parametrize(("settings", "key"), [(OWN, "sk-x"), (HOSTED, ""), (OFFLINE, "")])
async def test_the_file_as_the_image_reads_it_loads(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings, key: str
):
    # docker-compose.yml always sets the variable, to nothing where there is no key.
    monkeypatch.setenv("OPENAI_API_KEY", key)
    register_variant("history_sft", model=TUNED, config=config, settings=settings)
    main = config / "tensorzero.toml"
    main.write_text(main.read_text().replace("enabled = true", "enabled = false"))  # no store here
    image = tmp_path / "image"
    shutil.copytree(config, image / "config")
    (image / "model.toml").write_text(model_toml(OFFLINE, None, base_url="http://x/v1/"))
    gateway = await TensorZeroGateway.embedded(f"{image}/**/*.toml", None)
    question = Question("history_sft", gateway.new_episode_id(), SAMPLE_ARGUMENTS, dryrun=True)
    with pytest.raises(ModelError):
        await gateway.ask(question)
    assert await gateway.close(timeout_s=30)


def test_a_price_may_be_given(config: Path):
    file = register_variant("history_sft", model="m", price=Price(1, 2), config=config, settings=OWN)
    assert [c["cost_per_million"] for c in provider(file)["cost"]] == [1, 2]
    file = register_variant("history_sft", model="m", config=config, settings=OWN)
    assert "cost" not in provider(file)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "../up"}, "variant name '../up' is not valid"),
        ({"name": 'a"]\n[gateway]'}, "is not valid"),
        ({"name": "tensorzero::x"}, "is not valid"),
        ({"name": "history", "like": "baseline"}, "variant 'history' already exists"),
        ({"model": "m\n[gateway]"}, "model name .* is not valid"),
        ({"model": ""}, "model name '' is not valid"),
        ({"model": None}, "either the model's name or the UI's snippet"),
        ({"snippet": SNIPPET}, "either the model's name or the UI's snippet"),
        ({"name": "mine"}, "it is unclear whose prompts 'mine' uses"),
        ({"like": "nope"}, "it is unclear whose prompts"),
        ({"model": None, "snippet": "[models"}, "the snippet is not TOML"),
        ({"model": None, "snippet": "a = 1"}, "has 0 models"),
        ({"model": None, "snippet": SNIPPET + '\n[models.b]\nrouting = ["x"]'}, "has 2 models"),
        ({"model": None, "snippet": "[models.b]\nrouting = []"}, "no provider"),
        ({"model": None, "snippet": "[models]\nb = 1"}, "no provider"),
        ({"model": None, "snippet": "models = 1"}, "has 0 models"),
    ],
)
def test_bad_names_and_snippets_are_refused_and_write_nothing(config: Path, wrong: dict, message: str):
    arguments = {"name": "history_sft", "model": TUNED} | wrong
    with pytest.raises(InputError, match=message):
        register_variant(**arguments, config=config, settings=HOSTED)
    assert not (config / "finetuned").exists()
