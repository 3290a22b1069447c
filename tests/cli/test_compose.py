"""docker-compose.yml against the code, the configuration and .env.example; `make up` on a recorded Docker.

There is no Docker engine where this is tested: what the file declares is checked, and what its containers
run that needs no Docker is run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomlkit
import yaml
from expandvars import ParameterNullOrNotSet, expand

from babyai_kit.cli import compose, local_service
from babyai_kit.cli.container_agents import PROVIDER_KEYS, write_agents
from babyai_kit.configuration import addresses
from babyai_kit.configuration.addresses import (
    ADAPTER_PORT,
    COMPOSE_CLICKHOUSE,
    LANGUAGE_MODEL_PORT,
    PLAYER_PORT,
)
from babyai_kit.configuration.gateway_toml import NO_TIMEOUT_MS, model_toml
from babyai_kit.configuration.models import LANGUAGE_MODEL
from babyai_kit.configuration.prices import load_prices
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import Config, Variant, load_config
from babyai_kit.errors import InputError
from babyai_kit.finetune.registration import register_variant
from babyai_kit.gateway.tensorzero_client import TensorZeroGateway
from babyai_kit.local import language_model
from tests.support.project import CONFIG, ROOT, SETTINGS

TEXT = (ROOT / "docker-compose.yml").read_text()
FILE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES = FILE["services"]


def variables() -> set[str]:
    return set(re.findall(r"\$\{(\w+)", TEXT))


def pinned(package: str) -> str:
    (version,) = re.findall(rf"(?m)^{package}==(\S+)$", (ROOT / "requirements.txt").read_text())
    return version


def test_images_are_pinned_and_gateway_and_ui_are_of_the_clients_version():
    images = {name: s["image"] for name, s in SERVICES.items() if "image" in s}
    assert images["gateway"] == f"tensorzero/gateway:{pinned('tensorzero')}"
    assert images["ui"] == f"tensorzero/ui:{pinned('tensorzero')}"
    assert re.fullmatch(r"clickhouse/clickhouse-server:\d+\.\d+", images["clickhouse"])
    # Known breakage with TensorZero.
    assert not images["clickhouse"].endswith(":25.10")


def test_everything_is_published_on_loopback_and_checked_for_health():
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    hosts = [port.rpartition(":")[0] for published in ports.values() for port in published]
    assert len(set(hosts)) == len(hosts)  # another profile's service may still run
    assert ports == {
        "clickhouse": ["127.0.0.1:8123:8123"],
        "gateway": ["127.0.0.1:3000:3000"],
        "ui": ["127.0.0.1:4000:4000"],
        "player": [f"127.0.0.1:{PLAYER_PORT}:{PLAYER_PORT}"],
        "language-model": [f"127.0.0.1:{LANGUAGE_MODEL_PORT}:{PLAYER_PORT}"],
    }
    assert all("healthcheck" in service for service in SERVICES.values())
    assert all("network_mode" not in service for service in SERVICES.values())
    shown = {address.rpartition(":")[2] for address in compose.ADDRESSES.values()}
    assert shown == {"8123", "3000", "4000"}


def test_every_variable_is_declared_or_given_by_make_up():
    declared = {
        line.split("=")[0] for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line
    }
    given = set(compose.environment(load_settings(None, {}), CONFIG))
    assert variables() <= declared | given
    assert given - {"COMPOSE_PROFILES"} <= variables()
    assert set(SETTINGS) <= declared


def test_no_password_is_in_the_file_and_all_users_have_the_same():
    environment = SERVICES["clickhouse"]["environment"]
    assert environment["CLICKHOUSE_PASSWORD"].startswith("${CLICKHOUSE_PASSWORD:?")
    with pytest.raises(ParameterNullOrNotSet):
        expand(environment["CLICKHOUSE_PASSWORD"], environ={}, surrounded_vars_only=True)
    gateway = expand(
        SERVICES["gateway"]["environment"]["TENSORZERO_CLICKHOUSE_URL"], environ={"CLICKHOUSE_PASSWORD": "pw"}
    )
    outside = load_settings(
        None, {"TENSORZERO_GATEWAY_URL": "http://127.0.0.1:3000", "CLICKHOUSE_PASSWORD": "pw"}
    ).clickhouse_url
    assert outside == "http://babyai:pw@127.0.0.1:8123/tensorzero"
    assert outside.startswith(COMPOSE_CLICKHOUSE.replace("//", "//babyai:pw@"))
    assert gateway.replace("@clickhouse:", "@127.0.0.1:") == outside
    assert f"//{environment['CLICKHOUSE_USER']}:" in gateway


def test_data_outlive_the_containers_and_the_order_of_start_is_by_health():
    assert FILE["volumes"] == {"clickhouse-data": None, "player-data": None}
    assert SERVICES["player"]["volumes"] == ["player-data:/data"]
    assert SERVICES["clickhouse"]["volumes"] == ["clickhouse-data:/var/lib/clickhouse"]
    healthy = {"condition": "service_healthy"}
    assert SERVICES["gateway"]["depends_on"] == {"adapter": healthy, "clickhouse": healthy}
    assert SERVICES["ui"]["depends_on"] == {"gateway": {"condition": "service_healthy"}}
    assert SERVICES["adapter"]["extra_hosts"] == ["host.docker.internal:host-gateway"]
    assert SERVICES["player"]["profiles"] == [local_service.PLAYER.profile]
    assert SERVICES["language-model"]["profiles"] == [local_service.LANGUAGE_MODEL.profile]
    # One keeps the other's jobs.
    assert SERVICES["language-model"]["volumes"] == SERVICES["player"]["volumes"]


def test_the_gateways_glob_finds_the_configuration_and_the_model():
    _, glob = SERVICES["gateway"]["command"]
    parent = glob.removesuffix("/**/*.toml")
    (mount,) = SERVICES["gateway"]["volumes"]
    assert mount == f"./config:{parent}/config:ro"
    assert SERVICES["gateway"]["configs"] == [{"source": "model", "target": f"{parent}/model.toml"}]
    config = tomlkit.parse((CONFIG / "tensorzero.toml").read_text()).unwrap()
    assert config["gateway"]["observability"]["batch_writes"]["enabled"]
    assert "models" not in config


@pytest.mark.parametrize(
    "user",
    [
        {},
        {"OPENAI_API_KEY": "sk-1"},
        {"OPENAI_API_KEY": "sk-1", "AGENT_MODEL": "gpt-4.1-mini-2025-04-14", "AGENT_TIMEOUT_MS": "90000"},
        {"OPENAI_BASE_URL": "http://10.0.0.7:8000/v1", "AGENT_MODEL": "llama3"},
        {"OPENAI_BASE_URL": "http://10.0.0.7:8000/v1/", "OPENAI_API_KEY": "sk-1", "AGENT_MODEL": "llama3"},
    ],
)
def test_the_inline_model_is_what_connect_writes(user: dict[str, str]):
    settings = load_settings(None, user)
    given = compose.environment(settings, CONFIG)
    inline = expand(FILE["configs"]["model"]["content"], environ=user | given, surrounded_vars_only=True)
    written = model_toml(
        settings,
        load_prices(CONFIG).price_of(settings.model),
        base_url=addresses.COMPOSE_ADAPTER,
    )
    assert tomlkit.parse(inline).unwrap() == tomlkit.parse(written).unwrap()
    assert ("COMPOSE_PROFILES" in given) == settings.offline
    assert "sk-1" not in inline


def test_without_make_up_the_file_still_serves_a_key():
    inline = expand(
        FILE["configs"]["model"]["content"], environ={"OPENAI_API_KEY": "sk-1"}, surrounded_vars_only=True
    )
    written = model_toml(
        load_settings(None, {"OPENAI_API_KEY": "sk-1"}), None, base_url=addresses.COMPOSE_ADAPTER
    )
    assert tomlkit.parse(inline).unwrap() == tomlkit.parse(written).unwrap()


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("http://localhost:11434/v1/", "http://host.docker.internal:11434/v1/"),
        ("http://127.0.0.1/v1/", "http://host.docker.internal/v1/"),
        ("http://u:p@[::1]:8000/v1/", "http://u:p@host.docker.internal:8000/v1/"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1/"),
        ("http://localhost.example.org/v1/", "http://localhost.example.org/v1/"),
    ],
)
def test_loopback_is_the_host_inside_a_container(url: str, seen: str):
    assert addresses.from_container(url) == seen


LEARNS = pytest.mark.skipif(bool(language_model.missing()), reason="needs the extra llm")


@pytest.mark.parametrize("service", ["player", "adapter", pytest.param("language-model", marks=LEARNS)])
def test_a_service_needs_nothing_but_what_its_image_installs(tmp_path: Path, service: str):
    assert SERVICES["player"]["build"] == SERVICES["adapter"]["build"]
    assert SERVICES["language-model"]["build"] == SERVICES["player"]["build"] | {"target": "language-model"}
    dockerfile = SERVICES["player"]["build"]["dockerfile_inline"]
    pattern = re.findall(r"grep -E '([^']+)'", dockerfile)[0]
    installed = [
        line for line in (ROOT / "requirements.txt").read_text().splitlines() if re.search(pattern, line)
    ]
    names = {re.split(r"\W", line)[0] for line in installed}
    assert names == {"aiohttp", "bpe", "filelock", "gymnasium", "minigrid", "numpy", "pydantic", "python"}
    assert "COPY babyai_kit babyai_kit" in dockerfile
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "!babyai_kit" in ignored
    assert {"!requirements.txt", "!pyproject.toml"} <= set(ignored)

    absent = ["tensorzero", "chdb", "clickhouse_connect", "pandas", "scipy", "matplotlib", "tqdm"]
    absent += ["tomlkit", "openai", "minijinja", "papermill", "IPython"]
    command = ["player", "--host", "0.0.0.0", "--port", str(PLAYER_PORT), "--folder", "/data"]
    assert SERVICES["player"]["command"] == command
    assert SERVICES["adapter"]["command"] == ["adapter", "--host", "0.0.0.0", "--port", str(ADAPTER_PORT)]
    assert SERVICES["language-model"]["command"] == [
        *(command[0], "--language-model", "--threads", "${LOCAL_MODEL_THREADS:-1}"),
        *command[1:],
    ]
    changed = {"${LOCAL_MODEL_THREADS:-1}": "auto", "0.0.0.0": "127.0.0.2", "/data": str(tmp_path / "data")}
    changed |= {str(PLAYER_PORT): "0", str(ADAPTER_PORT): "0"}
    arguments = [changed.get(argument, argument) for argument in SERVICES[service]["command"]]
    script = f"""
import sys
for name in {absent!r}:
    sys.modules[name] = None  # as if it were not installed
sys.argv = ["babyai_kit", *{arguments!r}]
import runpy
runpy.run_module("babyai_kit", run_name="__main__")
"""
    player = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
    )
    try:
        assert player.stdout is not None
        line = player.stdout.readline()
    finally:
        player.terminate()
        _, errors = player.communicate(timeout=200)
    assert "http://127.0.0.2:" in line, errors


def test_the_image_of_the_language_model_can_install_it():
    dockerfile = SERVICES["language-model"]["build"]["dockerfile_inline"]
    kit, language_model = dockerfile.split("FROM kit AS language-model")
    assert "AS kit" in kit
    patterns = re.findall(r"grep -E '([^']+)'", dockerfile)
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    found = [line for line in lines if any(re.search(pattern, line) for pattern in patterns)]
    installed = {re.split(r"[^\w-]", line)[0] for line in found}
    assert {"packaging", "tomlkit"} <= installed
    (module,) = re.findall(r"python -m (babyai_kit\S+install\S*)", language_model)
    absent = ["tensorzero", "chdb", "clickhouse_connect", "pandas", "scipy", "matplotlib", "openai", "torch"]
    script = f"import sys\nfor name in {absent}: sys.modules[name] = None\nimport {module}"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=60)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A `docker` that records its calls; the file `version` says which version it is."""
    binary = tmp_path / "bin" / "docker"
    binary.parent.mkdir()
    log = tmp_path / "calls.jsonl"
    binary.write_text(
        f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
if sys.argv[1:] == ["compose", "version", "--short"]:
    print(Path({str(tmp_path / "version")!r}).read_text())
else:
    with open({str(log)!r}, "a") as file:
        file.write(json.dumps([sys.argv[1:], dict(os.environ)]) + "\\n")
"""
    )
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "version").write_text("v2.30.3\n")
    monkeypatch.setenv("PATH", f"{binary.parent}:{os.environ['PATH']}")
    shutil.copytree(CONFIG, tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return lambda: [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_up_writes_a_password_waits_for_health_and_prints_the_addresses(docker, tmp_path, capfd):
    (tmp_path / ".env").write_text("OPENAI_BASE_URL=http://localhost:11434/v1\nAGENT_MODEL=gpt-4o-mini\n")
    assert compose.main(["up"]) == 0
    output = capfd.readouterr().out
    ((arguments, environment),) = docker()
    assert arguments == ["compose", "up", "--detach", "--wait"]
    assert environment["OPENAI_BASE_URL"] == "http://host.docker.internal:11434/v1/"
    assert environment["AGENT_COST"].startswith("cost = [")
    assert "COMPOSE_PROFILES" not in environment
    assert "OLLAMA_HOST" in output
    assert all(address in output for address in compose.ADDRESSES.values())
    assert "TENSORZERO_GATEWAY_URL=http://127.0.0.1:3000" in output
    (password,) = re.findall(r"(?m)^CLICKHOUSE_PASSWORD=(\S{20,})$", (tmp_path / ".env").read_text())
    assert password not in output
    assert compose.main(["up"]) == 0
    assert (tmp_path / ".env").read_text().count("CLICKHOUSE_PASSWORD") == 1


def test_up_with_nothing_configured_starts_the_offline_player_and_says_so(docker, tmp_path, capfd):
    shutil.copy(ROOT / ".env.example", tmp_path / ".env")
    assert compose.main(["up"]) == 0
    ((_, environment),) = docker()
    assert environment["COMPOSE_PROFILES"] == "offline"
    assert environment["OPENAI_BASE_URL"] == f"http://player:{PLAYER_PORT}/v1/"
    assert environment["AGENT_MODEL"] == "offline-player"
    assert "NO language model" in capfd.readouterr().out
    assert not re.findall(r"(?m)^CLICKHOUSE_PASSWORD=$", (tmp_path / ".env").read_text())


def registered(model: str) -> None:
    """A fine-tuned variant, as a user without a key registers it."""
    settings = load_settings(None, {})
    register_variant("own_sft", model=model, like="history", config="config", settings=settings)


def test_a_language_model_of_this_machine_is_served_and_trained_by_the_form(docker, tmp_path, capfd):
    gateway = "TENSORZERO_GATEWAY_URL=http://127.0.0.1:3000"  # as the last make up has asked to set
    (tmp_path / ".env").write_text(f"AGENT_MODEL={LANGUAGE_MODEL}\n{gateway}\n")
    registered(f"ft:{LANGUAGE_MODEL}:offline::1")
    assert compose.main(["up"]) == 0
    ((_, environment),) = docker()
    assert environment["COMPOSE_PROFILES"] == "local-model"
    assert environment["AGENT_MODEL"] == LANGUAGE_MODEL
    assert environment["OPENAI_BASE_URL"] == f"http://language-model:{PLAYER_PORT}/v1/"
    assert environment["TENSORZERO_INTERNAL_MOCK_PROVIDER_API"] == f"http://language-model:{PLAYER_PORT}/"
    output = capfd.readouterr().out
    assert "every call of the gateway to a provider of type openai goes to the service" in output
    assert "NO language model" not in output
    assert "OLLAMA_HOST" not in output


HERE = f"AGENT_MODEL={LANGUAGE_MODEL}\n"
MINE = """
[models.mine]
routing = ["p"]
[models.mine.providers.p]
type = "TYPE"
model_name = "m"
"""


@pytest.mark.parametrize(
    ("env", "models", "tuned", "other"),
    [
        (f"OPENAI_API_KEY=sk-1\nAGENT_MODELS={LANGUAGE_MODEL},gpt-4o-mini", "", "", "gpt-4o-mini"),
        (f"OPENAI_BASE_URL=http://x/v1\nAGENT_MODELS=llama,{LANGUAGE_MODEL}", "", "", "llama"),
        (HERE, MINE.replace("TYPE", "openai"), "", "mine"),
        (HERE, "", "ft:gpt-4o-mini:org::1", "ft:gpt-4o-mini:org::1"),
        (HERE, MINE.replace("TYPE", "anthropic"), f"ft:{LANGUAGE_MODEL}:o::1", ""),
        (f"{HERE}AGENT_MODELS={LANGUAGE_MODEL},offline-player,anthropic::c", "", "", ""),
    ],
)
def test_the_forms_variable_takes_no_other_model_away(docker, tmp_path, capfd, env, models, tuned, other):
    (tmp_path / ".env").write_text(f"{env}\nANTHROPIC_API_KEY=k\n")
    if models:
        (tmp_path / "config/models.toml").write_text(models)
    if tuned:
        registered(tuned)
    assert compose.main(["up"]) == 0
    ((_, environment),) = docker()
    assert environment["COMPOSE_PROFILES"] == "local-model"
    assert bool(environment[local_service.FORM_VARIABLE]) == (not other)
    if other:
        assert f"while the gateway asks {other} elsewhere" in capfd.readouterr().out


def test_without_a_language_model_of_this_machine_the_forms_variable_is_empty(docker, tmp_path, monkeypatch):
    monkeypatch.setenv(local_service.FORM_VARIABLE, "http://mine:3030")
    for env in ("", "OPENAI_API_KEY=sk-1\n", "AGENT_MODELS=offline-player\n"):
        (tmp_path / ".env").write_text(env)
        assert compose.main(["up"]) == 0
    assert [environment[local_service.FORM_VARIABLE] for _, environment in docker()] == ["", "", ""]


def test_down_stops_everything_and_keeps_the_data(docker):
    assert compose.main(["down"]) == 0
    ((arguments, _),) = docker()
    assert arguments == ["compose", "--profile", "offline", "--profile", "local-model", "down"]


def test_an_old_compose_or_none_is_reported(docker, tmp_path, capsys, monkeypatch):
    (tmp_path / "version").write_text("2.20.0\n")
    assert compose.main(["up"]) == 2
    assert "is version 2.20.0, but 2.23.1 is needed" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "")
    assert compose.main(["up"]) == 2
    assert "install Docker" in capsys.readouterr().err


def test_a_password_that_would_break_the_url_is_refused(tmp_path, monkeypatch):
    (tmp_path / ".env").write_text("CLICKHOUSE_PASSWORD=p@ss\n")
    with pytest.raises(InputError, match="letters, digits"):
        compose.ensure_password(tmp_path / ".env")


def test_up_lets_registered_models_be_asked_as_the_settings_say(docker, tmp_path):
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-1\n")
    settings = load_settings(None, {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    file = register_variant("old_sft", model="ft:old", like="baseline", config="config", settings=settings)
    assert compose.main(["up"]) == 0
    (provider,) = tomlkit.parse(file.read_text())["models"]["old_sft"]["providers"].values()
    assert provider["api_base"] == addresses.COMPOSE_ADAPTER
    assert provider["api_key_location"] == "env::OPENAI_API_KEY"
    assert provider["timeouts"] == {"non_streaming": {"total_ms": NO_TIMEOUT_MS}}


OWN = """
[models.claude]
routing = ["anthropic"]
[models.claude.providers.anthropic]
type = "anthropic"
model_name = "claude-x"
[models."their/own"]
routing = ["own"]
[models."their/own".providers.own]
type = "vllm"
model_name = "llama"
api_base = "http://127.0.0.1:8000/v1/"
api_key_location = "none"
"""


def as_the_image_has_it(folder: Path, models: str, **values: str) -> tuple[Config, Path]:
    """What make up leaves in config/, beside the model's file, in a folder that stands for /app/babyai."""
    settings = load_settings(None, values)
    config = folder / "config"
    shutil.copytree(CONFIG, config)
    (config / "models.toml").write_text(models)
    loaded = load_config(config, settings)
    (folder / "model.toml").write_text(model_toml(settings, None, base_url="http://x/v1/"))
    return loaded, folder


@pytest.mark.e2e
async def test_the_image_serves_each_agent_of_several_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Under the names that a run with this gateway asks for; a model without its key stops nothing."""
    names = "anthropic::claude-y,offline-player,plain"
    values = {"OPENAI_BASE_URL": "http://localhost:1/v1", "AGENT_MODELS": names, "ANTHROPIC_API_KEY": "k"}
    loaded, folder = as_the_image_has_it(tmp_path / "app", OWN, **values)
    assert write_agents(loaded) == []
    text = (folder / "config" / "agents.toml").read_text()
    document = tomlkit.parse(text).unwrap()
    assert document["models"]["their/own@container"]["providers"]["vllm"]["api_base"] == (
        "http://host.docker.internal:8000/v1/"
    )
    assert document["models"]["plain"]["providers"]["openai"]["api_base"] == addresses.COMPOSE_ADAPTER
    assert "claude" not in document["models"]  # which models.toml defines
    models = ["claude", "their/own", *names.split(",")]
    asked = loaded.agents(["history"], models)
    assert {agent.served_as for agent in asked} <= set(document["functions"]["act"]["variants"])
    # An agent of Python code over HTTP, whichever it is.
    over_http = replace(loaded, settings=replace(loaded.settings, gateway_url="http://127.0.0.1:3000"))
    mine = over_http.with_agents([Variant("mine", "plain", "d", {}, chats=True)]).agents(["mine"], models)
    assert {agent.served_as for agent in mine} <= set(document["functions"]["chat"]["variants"])
    # Compose sets every variable, to nothing where there is no key.
    for key in PROVIDER_KEYS:
        monkeypatch.setenv(key, "")
    main = folder / "config" / "tensorzero.toml"
    main.write_text(main.read_text().replace("enabled = true", "enabled = false"))  # no store here
    gateway = await TensorZeroGateway.embedded(f"{folder}/**/*.toml", None)
    await gateway.close(5)
    # And the kit's own view of config/ is what it was.
    assert set(load_config(loaded.path, loaded.settings).variants) == set(loaded.variants)


def test_make_up_says_which_models_it_leaves_out_and_which_keys_a_container_lacks(tmp_path: Path):
    loaded, _ = as_the_image_has_it(tmp_path / "a", OWN)
    assert write_agents(loaded) == [
        "claude needs ANTHROPIC_API_KEY, which is not set; add it to .env, or leave the model out"
    ]
    with_key = OWN.replace('"none"', '"env::MY_KEY"')
    loaded, _ = as_the_image_has_it(tmp_path / "b", with_key)
    with pytest.raises(InputError, match="takes its key from MY_KEY, which the gateway's container lacks"):
        write_agents(loaded)
