"""The pages against the project: commands parse, snippets and queries run, files, links and anchors exist."""

from __future__ import annotations

import argparse
import ast
import asyncio
import importlib.util
import inspect
import io
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dotenv import dotenv_values
from PIL import Image

from babyai_kit import ACTIONS, TASKS, clickhouse_client, connect, figures, make_env, run_experiment
from babyai_kit.__main__ import _parser
from babyai_kit.cli.container_agents import PROVIDER_KEYS
from babyai_kit.configuration.prices import load_prices
from babyai_kit.configuration.served_models import own_models
from babyai_kit.configuration.settings import load_settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.environment.tasks import MAX_STEPS
from babyai_kit.runs.episode_table import COLUMNS
from babyai_kit.runs.records import KEY_COLUMNS
from tests.project.first_hour import users
from tests.support.import_graph import NESTED, import_graph
from tests.support.project import CONFIG, ROOT, SETTINGS

PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
}
OF_USERS = ("config/finetuned/", "config/models.toml", "config/agents.toml")
"""Files of users, which Git ignores."""
LANGUAGES = {"sh", "python", "sql", "ini", "toml", "json", "text"}
PROGRAMS = {"python", "python3", ".", "pip", "uv", "conda", "jupyter", "cp", "git"}
INTERPRETER = re.compile(r"(\.venv/[\d.]+/bin/)?python3?")
FENCED = re.compile(r"(?ms)^ *```(\w*)\n(.*?)^ *```$")
LINK = re.compile(r"\[[^][]*\]\(([^()\s]+)\)")
CHOICES = {"RUN": "run-1", "I/N": "0/2", "MODEL": "a-model", "NAME": "history_sft"}
"""What stands for the placeholders of a command."""


def blocks(page: str, language: str) -> list[str]:
    return [text for name, text in FENCED.findall(PAGES[page]) if name == language]


def prose(page: str) -> str:
    return FENCED.sub("", PAGES[page])


def pages_with(language: str) -> list[str]:
    return [page for page in PAGES if blocks(page, language)]


def commands(page: str) -> Iterator[str]:
    """Every line of a shell block, and every command in the text and its tables."""
    lines = [line.split("  #")[0] for block in blocks(page, "sh") for line in block.splitlines()]
    inline = re.findall(r"`((?:make|python3?|babyai|pip|uv|conda|jupyter|cp|git) [^`]+)`", prose(page))
    for line in [*lines, *inline]:
        yield from filter(None, (part.strip() for part in line.split("&&")))


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"(?m)^#+ (.+)$", FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str):
    assert {name for name, _ in FENCED.findall(PAGES[page])} <= LANGUAGES
    assert PAGES[page].count("```") == 2 * len(FENCED.findall(PAGES[page]))


def test_the_pages_hold_blocks_of_every_language():
    assert {name for page in PAGES for name, _ in FENCED.findall(PAGES[page])} == LANGUAGES


@pytest.mark.parametrize("command", sorted({command for page in PAGES for command in commands(page)}))
def test_every_command_is_one(command: str):
    words = shlex.split(command)
    while "=" in words[0]:
        assert words.pop(0).split("=")[0] in {*SETTINGS, "PYTHONPATH"}
    if words[:3] == ["python", "-m", "babyai_kit"] or words[0] == "babyai":
        arguments = words[1:] if words[0] == "babyai" else words[3:]
        if "--help" in arguments:
            arguments.remove("--help")
            assert set(arguments) <= set(_commands())
        elif arguments:
            _parser().parse_args([CHOICES.get(word, word) for word in arguments])
    elif words[0] == "make":
        targets = re.findall(r"(?m)^([\w $()./-]+):", (ROOT / "Makefile").read_text())
        goals = [word for word in words[1:] if "=" not in word]
        assert goals
        assert set(goals) <= {name for target in targets for name in target.split()}
    else:
        assert words[0] in PROGRAMS or INTERPRETER.fullmatch(words[0])
        if INTERPRETER.fullmatch(words[0]) and words[1] == "-m":
            assert importlib.util.find_spec(words[2]), words[2]
        files = [word for word in words if re.search(r"\.(txt|yml|ipynb|example|py)$", word)]
        assert all((ROOT / name).exists() for name in files)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_picture_leads_somewhere(page: str):
    for target in LINK.findall(prose(page)):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert path.resolve().is_relative_to(ROOT), target
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), target


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_a_title_and_is_linked_both_ways(page: str):
    assert PAGES[page].startswith("# ")
    if page != "README.md":
        assert page in LINK.findall(PAGES["README.md"])
        assert "[README]" in PAGES[page]


def test_every_file_and_module_named_in_code_font_exists():
    """Paths, and dotted names of the package."""
    for page in PAGES:
        for name in re.findall(r"`((?:babyai_kit|tests|benchmarks|config|docs)/[\w./-]+)`", prose(page)):
            assert (ROOT / name).exists() or name.startswith(OF_USERS), (page, name)
        for name in re.findall(r"`(babyai_kit(?:\.\w+)+)`", prose(page)):
            assert importlib.util.find_spec(name), (page, name)


def test_every_name_that_is_located_in_a_file_is_there():
    """`NAME` in (or of) `path`, as CONTRIBUTING says where to add things."""
    located = [
        (page, name, path)
        for page in PAGES
        for name, path in re.findall(r"`(\w+)` (?:in|of) `([\w/]+/\w+\.\w+)`", prose(page))
    ]
    assert located
    for page, name, path in located:
        file = ROOT / path if (ROOT / path).exists() else ROOT / "babyai_kit" / path
        assert re.search(rf"\b{name}\b", file.read_text(encoding="utf-8")), (page, name, path)


def test_architecture_has_a_line_per_room():
    graph = import_graph()
    rooms = set(graph.rooms) - {*graph.loose, "babyai_kit", NESTED}
    assert set(re.findall(r"(?m)^\| `([\w.]+)` \|", PAGES["docs/architecture.md"])) == rooms
    loose = re.findall(r"(?m)^Loose beside them: (.+)\.$", PAGES["docs/architecture.md"])[0]
    assert set(re.findall(r"`(\w+)`", loose)) == set(graph.loose)


def test_readme_shows_one_observation_as_it_is():
    observation, _ = make_env("open").reset(seed=206)
    block = blocks("README.md", "text")[0]
    assert block == f"{observation['mission']}\n\n{observation['text']}\n"
    notebook = (ROOT / "babyai.ipynb").read_text(encoding="utf-8")
    assert 'make_env(\\"open\\")' in notebook
    assert "reset(seed=206)" in notebook


@pytest.mark.parametrize("file", ["README.md", "babyai.ipynb"])
def test_the_game_is_explained_first(file: str):
    """Every task with its limit and a sentence, every action, success and return, before anything is run."""
    text = (ROOT / file).read_text(encoding="utf-8")
    start = text[: text.index("make run     #" if file == "README.md" else "RUN = ")]
    assert tuple(re.findall(r"\| `(\w+)` \| [A-Z].+\. \|", start)) == TASKS
    limits = dict(re.findall(r"\| `(\w+)` \| .+ \| (\d+) steps \|", start))
    assert limits == {task: str(steps) for task, steps in MAX_STEPS.items()}
    assert all(f"*{action}*" in " ".join(start.split()) for action in ACTIONS)
    assert "**Success" in start
    assert "1 - 0.9 x steps / maximum" in " ".join(start.split())


def test_the_first_hour_types_every_command_of_readme():
    """`make test-long` follows README; here only that it leaves nothing out and expects nothing else."""
    typed = []
    for user in users("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1").values():
        lines = [line for language, block in user.blocks() if language == "sh" for line in block.splitlines()]
        assert all(any(line.startswith(start) for line in lines) for start in user.ends), user.lead
        assert all(any(line.startswith(start) for start in user.ends) for line in lines), user.lead
        typed += lines
    assert typed == [line for block in blocks("README.md", "sh") for line in block.splitlines()]


def test_the_picture_of_the_game_is_what_make_picture_draws():
    env = make_env("open")
    env.reset(seed=206)
    drawn = Image.open(io.BytesIO(figures.game(env).png())).convert("RGB")
    kept = Image.open(ROOT / "img/game.png").convert("RGB")
    # Another version of matplotlib draws letters a little differently, and may cut a pixel more.
    assert np.abs(np.subtract(kept.size, drawn.size)).max() <= 2
    coarse = [np.asarray(picture.resize((96, 48)), float) for picture in (kept, drawn)]
    assert np.abs(np.subtract(*coarse)).mean() < 3


def test_pictures_in_the_pages_are_small():
    for path in [ROOT / "img/game.png", *(ROOT / "docs").rglob("*.png")]:
        assert path.stat().st_size < 60_000, path


def tree() -> Iterator[Path]:
    """The files and folders of README's tree, relative to the top level."""
    (text,) = (block for block in blocks("README.md", "text") if "README.md" in block)
    folders: list[str] = []
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.split(r"\s{2,}", line.strip())[0].split(", ")
        folders[depth:] = [names[0]]
        yield from (Path(*folders[:depth], name) for name in names)


def test_every_line_of_the_tree_exists():
    for path in tree():
        assert (ROOT / path).exists(), path


def test_the_tree_is_complete():
    package = Path("babyai_kit")
    rooms = [room for room in import_graph().rooms if room not in (package.name, NESTED)]
    paths = [package / room.replace(".", "/") for room in rooms]
    expected = {package, package / NESTED, package / "__init__.py"}
    expected |= {path if (ROOT / path).is_dir() else path.with_suffix(".py") for path in paths}
    expected |= {Path(name) for name in tracked_names()}
    named = list(tree())
    missing = sorted(map(str, expected - set(named)))
    assert not missing
    assert len(named) == len(set(named))


def tracked_names() -> Iterable[str]:
    """Names at the top level that git tracks; none outside a checkout."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    return {name.split("/")[0] for name in listing.split("\0") if name}


def test_every_setting_is_explained_and_every_block_of_settings_loads(tmp_path: Path):
    table = re.findall(r"(?m)^\| `([A-Z_]+)` \|", PAGES["docs/settings.md"])
    assert sorted(table) == sorted(set(SETTINGS) - set(PROVIDER_KEYS))
    assert all(f"`{key}`" in PAGES["docs/model-servers.md"] for key in PROVIDER_KEYS)
    for page in pages_with("ini"):
        for block in blocks(page, "ini"):
            (tmp_path / ".env").write_text(block)
            assert set(dotenv_values(tmp_path / ".env")) <= set(SETTINGS)
            assert load_settings(tmp_path / ".env", {"CLICKHOUSE_PASSWORD": "x"}).model


def test_every_command_column_and_flag_of_run_is_explained():
    page = PAGES["docs/running.md"]
    tables = " ".join(line for line in page.splitlines() if line.startswith("| "))
    assert {c for c in COLUMNS if not re.search(rf"\b{c}\b", tables)} <= set(KEY_COLUMNS)
    assert all(re.search(rf"\b{column}\b", page) for column in KEY_COLUMNS)
    assert set(_commands()) <= {"run", *re.findall(r"`([a-z]+)(?: RUN)?`", tables)}
    usage = _commands()["run"].format_usage()
    assert set(re.findall(r"--[a-z-]+", usage)) <= set(re.findall(r"--[a-z-]+", tables))


def _commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


@pytest.mark.parametrize("page", pages_with("json"))
def test_every_block_of_json_is_a_price_list(page: str, tmp_path: Path):
    for block in blocks(page, "json"):
        (tmp_path / "prices.json").write_text(block)
        assert load_prices(tmp_path).price_of("llama3.1:8b") is not None


@pytest.mark.parametrize("page", pages_with("toml"))
def test_every_block_of_toml_adds_a_variant_or_a_model(page: str, tmp_path: Path):
    settings = load_settings(None, {})
    before = load_config(CONFIG, settings).variants
    for block in blocks(page, "toml"):
        config = shutil.copytree(CONFIG, tmp_path / "config", dirs_exist_ok=True)
        if "[functions." in block:
            (config / "added.toml").write_text(block)
            assert len(load_config(config, settings).variants) == len(before) + 1
        else:
            (config / "models.toml").write_text(block)
            assert own_models(config, settings)


@pytest.fixture(scope="module")
def project(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the run `first` has been played: goto and open, seeds 200 and 201, all variants."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "config").symlink_to(CONFIG)
    (folder / "data").symlink_to(data)

    async def play() -> None:
        async with connect(env_file=None, quiet=True) as session:
            await run_experiment(
                session, "first", tasks=["goto", "open"], seeds=range(200, 202), progress=False
            )

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        asyncio.run(play())
    return folder


@pytest.mark.e2e
@pytest.mark.parametrize("page", pages_with("sql"))
def test_the_queries_answer(page: str, project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    with clickhouse_client(env_file=None) as client:
        for query in blocks(page, "sql"):
            assert len(client.query_df(query)), query


@pytest.mark.e2e
@pytest.mark.parametrize("page", pages_with("python"))
async def test_the_snippets_run(
    page: str, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """From top to bottom, each page by itself."""
    monkeypatch.chdir(project)
    names: dict[str, Any] = {}
    for snippet in blocks(page, "python"):
        code = compile(snippet, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        outcome = eval(code, names)
        if inspect.iscoroutine(outcome):
            await outcome
    assert bool(capsys.readouterr().out.strip()) >= any("print(" in s for s in blocks(page, "python"))
