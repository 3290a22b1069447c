import shutil
from pathlib import Path

import pytest
import tomlkit

from babyai_kit.configuration.gateway_toml import model_toml
from babyai_kit.configuration.models import DEFAULT_MODEL
from babyai_kit.configuration.prices import Price, load_prices
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.environment import ACTIONS
from babyai_kit.errors import ConfigError
from babyai_kit.runs.metrics import metrics
from babyai_kit.runs.plan import DEFAULT_VARIANTS
from tests.runs.test_records import episode
from tests.support.project import CONFIG

OFFLINE = load_settings(None, {})


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(CONFIG, tmp_path / "config"))


def test_the_four_variants_are_a_two_by_two_design():
    variants = load_config(CONFIG, OFFLINE).variants
    assert list(variants) == [*DEFAULT_VARIANTS, "dialogue"]
    variants = {name: variants[name] for name in DEFAULT_VARIANTS}
    system = {name: v.templates["system"] for name, v in variants.items()}
    user = {name: v.templates["user"] for name, v in variants.items()}
    assert system["baseline"] == system["history"] != system["reasoning"] == system["history_and_reasoning"]
    assert user["baseline"] == user["reasoning"] != user["history"] == user["history_and_reasoning"]
    assert len({v.digest for v in variants.values()}) == 4


def test_beside_them_is_a_dialogue_that_differs_from_baseline_in_its_messages_alone():
    variants = load_config(CONFIG, OFFLINE).variants
    baseline, dialogue = variants["baseline"], variants["dialogue"]
    assert dialogue.templates["system"] == baseline.templates["system"]
    assert dialogue.digest != baseline.digest
    assert [name for name, variant in variants.items() if variant.dialogue] == ["dialogue"]


@pytest.mark.parametrize(
    ("marker", "is_dialogue"),
    [
        ("{#- steps as turns -#}", True),
        ("{# steps as turns #}", True),
        ("{#steps as turns#}", True),
        ("{# not steps as turns #}", False),
        ("steps as turns", False),
    ],
)
def test_the_template_says_whether_a_variant_is_a_dialogue(copy: Path, marker: str, is_dialogue: bool):
    before = load_config(copy, OFFLINE).variants["baseline"]
    (copy / "functions/act/user.minijinja").write_text(marker + "{{ mission }}: {{ observation }}")
    after = load_config(copy, OFFLINE).variants["baseline"]
    assert after.dialogue is is_dialogue
    assert after.shows_history is is_dialogue, "its earlier messages are history, whatever the template uses"
    assert after.digest != before.digest


def test_reasoning_changes_nothing_but_the_form_of_the_answer():
    variants = load_config(CONFIG, OFFLINE).variants
    plain, reasoning = (variants[n].templates["system"].splitlines() for n in ("baseline", "reasoning"))
    assert [a == b for a, b in zip(plain, reasoning, strict=True)] == [True] * (len(plain) - 2) + [False] * 2
    assert reasoning[-1].index("thinking") < reasoning[-1].index("action")


def test_every_prompt_names_every_action():
    for variant in load_config(CONFIG, OFFLINE).variants.values():
        for action in ACTIONS:
            assert f"- {action}: " in variant.templates["system"]


def test_a_changed_prompt_changes_the_digest_of_its_variants_alone(copy: Path):
    before = load_config(copy, OFFLINE).variants
    template = copy / "functions/act/user_history.minijinja"
    template.write_text(template.read_text() + "!")
    after = load_config(copy, OFFLINE).variants
    assert {n for n in before if before[n].digest != after[n].digest} == {
        "history",
        "history_and_reasoning",
    }


def test_the_model_does_not_change_the_digest():
    other = load_settings(None, {"OPENAI_BASE_URL": "http://localhost:1/v1", "AGENT_MODEL": "m"})
    digests = [{n: v.digest for n, v in load_config(CONFIG, s).variants.items()} for s in (OFFLINE, other)]
    assert digests[0] == digests[1]


def test_broken_toml_is_named(copy: Path):
    (copy / "tensorzero.toml").write_text("[functions.act\n")
    with pytest.raises(ConfigError, match=r"tensorzero\.toml is not valid TOML"):
        load_config(copy, OFFLINE)


@pytest.mark.parametrize("name", ["user.minijinja", "user_schema.json", "output_schema.json"])
def test_a_missing_file_is_named(copy: Path, name: str):
    (copy / "functions/act" / name).unlink()
    with pytest.raises(ConfigError, match=name.replace(".", r"\.")):
        load_config(copy, OFFLINE)


def test_a_directory_without_configuration_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match="no TOML file"):
        load_config(tmp_path, OFFLINE)


def test_the_default_model_has_a_price():
    assert load_prices(CONFIG).price_of(DEFAULT_MODEL) is not None


def test_the_model_toml_names_the_key_and_never_holds_it():
    settings = load_settings(None, {"OPENAI_API_KEY": "sk-canary"})
    text = model_toml(settings, Price(0.15, 0.6), base_url="http://127.0.0.1:9/v1/")
    provider = tomlkit.parse(text)["models"]["agent"]["providers"]["primary"]
    assert "canary" not in text
    assert provider["api_key_location"] == "env::OPENAI_API_KEY"
    assert provider["model_name"] == DEFAULT_MODEL
    assert [c["cost_per_million"] for c in provider["cost"]] == [0.15, 0.6]


def test_without_key_no_authorization_and_without_price_no_cost():
    provider = tomlkit.parse(model_toml(OFFLINE, None, base_url="http://127.0.0.1:9/v1/"))
    primary = provider["models"]["agent"]["providers"]["primary"]
    assert primary["api_key_location"] == "none"
    assert "cost" not in primary


def test_every_metric_sent_is_declared():
    declared = tomlkit.parse((CONFIG / "tensorzero.toml").read_text())["metrics"]
    sent = metrics(episode())
    assert set(sent) | {"curated"} == set(declared)
    for name, value in sent.items():
        assert declared[name]["level"] == "episode"
        assert declared[name]["type"] == ("boolean" if isinstance(value, bool) else "float")


@pytest.mark.parametrize(
    "toml",
    [
        "models = 5",
        "models = [1]",
        "models.m = 5",
        "models.m = {}",
        "models.m.routing = 5",
        "models.m.routing = []",
        'models.m = { routing = ["p"] }',
        'models.m = { routing = ["p"], providers = 5 }',
        'models.m = { routing = ["p"], providers = { p = 5 } }',
        'models.m = { routing = [["p"]], providers = { p = {} } }',
        'models.m = { routing = ["p"], providers = { p = { model_name = 5 } } }',
        "[[models.m]]",
        "functions = 5",
        "functions.act = 5",
        "functions.act.variants = 5",
        "functions.act.variants.v = 5",
        "functions.act.variants.v.model = 5",
        "functions.act.variants.v.templates = 5",
        "functions.act.variants.v.templates.user = 5",
        "functions.act.variants.v.templates.user = {}",
        "functions.act.variants.v.templates.user.path = 5",
        'functions.act.variants.v.templates.user.path = "a\\u0000b"',
        "functions.act.schemas = 5",
        "functions.act.schemas.user = 5",
        "functions.act.schemas.user.path = 5",
        "functions.act.output_schema = 5",
        f"x = {'[' * 5000}",
        "x = \x00",
        "\x1b[2J",
    ],
)
def test_toml_of_another_shape_is_one_line_that_names_the_file(copy: Path, toml: str):
    (copy / "finetuned").mkdir()
    (copy / "finetuned" / "broken.toml").write_text(toml + "\n")
    with pytest.raises(ConfigError, match=r"config.*(restore|fix)") as error:
        load_config(copy, OFFLINE)
    line = str(error.value)
    assert line.isprintable()
    assert len(line) < 500
    assert "broken.toml" in line or "functions.act.variants.v.templates" in line or "a␀b" in line


@pytest.mark.parametrize("content", ["{", "5", "[" * 5000, '{"properties": 5}'])
def test_an_output_schema_that_is_none_is_named(copy: Path, content: str):
    (copy / "functions/act/output_schema.json").write_text(content)
    with pytest.raises(ConfigError, match=r"output_schema\.json is not a valid JSON schema"):
        load_config(copy, OFFLINE)


def test_dates_among_the_settings_of_a_variant_are_digested(copy: Path):
    (copy / "more.toml").write_text("functions.act.variants.v.extra_body = [{ value = 2026-01-01 }]\n")
    before = load_config(copy, OFFLINE).variants["v"].digest
    (copy / "more.toml").write_text("functions.act.variants.v.extra_body = [{ value = 2026-01-02 }]\n")
    assert load_config(copy, OFFLINE).variants["v"].digest != before


def test_a_folder_called_toml_is_told(copy: Path):
    (copy / "x.toml").mkdir()
    with pytest.raises(ConfigError, match=r"x\.toml cannot be read"):
        load_config(copy, OFFLINE)


@pytest.mark.parametrize(
    "prices",
    [
        "5",
        "[]",
        '{"m": 5}',
        '{"m": {"price": 1}}',
        '{"m": {"input": "1", "output": 1}}',
        '{"m": {"input": NaN, "output": 1}}',
        '{"m": {"input": 1e999, "output": 1}}',
        '{"m": {"input": -1, "output": 1}}',
        '{"m": {"input": true, "output": 1}}',
        '{"m": ' + "[" * 5000,
        "9" * 5000,
    ],
)
def test_a_price_list_of_another_shape_is_told(copy: Path, prices: str):
    (copy / "prices.json").write_text(prices)
    with pytest.raises(ConfigError, match=r"prices\.json is not a valid price list"):
        load_prices(copy)


@pytest.mark.parametrize(
    ("template", "shows"),
    [
        ("{{ observation }}", False),
        ("{# no history here #}{{ observation }}, without any history", False),
        ("{% for step in history %}{{ step.action }}{% endfor %}{{ observation }}", True),
        ("{{ history | length }}", True),
        ("{% include 'past' %}{{ observation }}", True),
        ("{{ history[1:] }}{% not jinja %}", True),
    ],
)
def test_a_variant_shows_history_if_its_template_uses_it(copy: Path, template: str, shows: bool):
    (copy / "functions/act/user.minijinja").write_text(template)
    variants = load_config(copy, OFFLINE).variants
    assert (variants["baseline"].shows_history, variants["reasoning"].shows_history) == (shows, shows)
    assert variants["history"].shows_history
