"""README against the project: its commands parse, its snippets run, its files exist, its queries answer."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from babyai_kit import clickhouse_client, connect, run_experiment
from babyai_kit.__main__ import _parser
from babyai_kit.configuration.settings import load_settings
from tests.support.project import CONFIG, ROOT, SETTINGS

TEXT = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return [text for name, text in re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", TEXT) if name == language]


def commands() -> list[str]:
    """Every line of a shell block, and every command in the text and its tables."""
    lines = [line.split("  #")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    inline = re.findall(
        r"`((?:make|python3?|pip|uv|conda|jupyter|cp) [^`]+)`", re.sub(r"(?ms)^```.*?^```", "", TEXT)
    )
    return [part.strip() for line in [*lines, *inline] if line for part in line.split("&&")]


def test_every_block_says_what_it_is():
    opened = re.findall(r"(?m)^```(\w*)$", TEXT)[::2]
    assert set(opened) <= {"sh", "python", "sql", "ini", ""}
    # The one without a language is the tree of files.
    assert opened.count("") == 1


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_every_command_is_one(command: str):
    words = shlex.split(command)
    if "=" in words[0]:
        assert words.pop(0).split("=")[0] in SETTINGS
    if words[:3] == ["python", "-m", "babyai_kit"]:
        rest = [{"RUN": "run-1"}.get(word, word) for word in words[3:]]
        if rest == ["--help"]:
            return
        _parser().parse_args(rest)
    elif words[0] == "make":
        targets = re.findall(r"(?m)^([\w $()./-]+):", (ROOT / "Makefile").read_text())
        goals = [word for word in words[1:] if "=" not in word]
        assert goals
        assert set(goals) <= {name for target in targets for name in target.split()}
    else:
        assert words[0] in {"python", "python3", ".", "pip", "uv", "conda", "jupyter", "cp"}
        named = [w for w in words if re.search(r"\.(txt|yml|ipynb|example|py)$", w)]
        assert all((ROOT / name).exists() for name in named)


def test_every_file_named_in_the_tree_exists():
    (tree,) = blocks("")
    folders: list[str] = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        names = re.split(r"\s{2,}", line.strip())[0].split(", ")
        for name in names:
            assert (ROOT.joinpath(*folders[:depth], name)).exists(), name
        folders[depth:] = [names[0]]


def test_every_setting_is_explained_and_every_block_of_settings_loads(tmp_path: Path):
    table = re.findall(r"(?m)^\| `([A-Z_]+)` \|", TEXT)
    assert sorted(table) == sorted(SETTINGS)
    for block in blocks("ini"):
        (tmp_path / ".env").write_text(block)
        assert set(dotenv_values(tmp_path / ".env")) <= set(SETTINGS)
        assert load_settings(tmp_path / ".env", {"CLICKHOUSE_PASSWORD": "x"}).model


def test_every_picture_exists():
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", TEXT)
    assert pictures
    assert all((ROOT / picture).exists() for picture in pictures)


@pytest.mark.e2e
async def test_the_queries_and_snippets_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(CONFIG)
    (tmp_path / "data").symlink_to(data)
    async with connect(env_file=None, quiet=True) as session:
        await run_experiment(session, "first", tasks=["goto", "open"], seeds=range(200, 202), progress=False)
    queries = blocks("sql")
    assert len(queries) == 5
    with clickhouse_client(env_file=None) as client:
        for query in queries:
            table = client.query_df(query)
            assert len(table), query
    names: dict[str, Any] = {}
    for snippet in blocks("python"):
        code = compile(snippet, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        ended = eval(code, names)
        if inspect.iscoroutine(ended):
            await ended
    assert "count()" in capsys.readouterr().out
