"""Runs as static files: what is in them, where they may be written, and that a browser opens them."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from babyai_kit.errors import FileWriteError, InputError
from babyai_kit.runs.journal import STEPS
from babyai_kit.viewer import export as exporting
from babyai_kit.viewer.comparison import Side
from babyai_kit.viewer.export import export
from babyai_kit.viewer.library import Library
from tests.replay.test_replay import HOSTILE
from tests.support.journals import Reply, expert, play, write_run
from tests.viewer.conftest import Seen

KEY = "sk-a-secret-of-the-settings"


def piece(folder: Path, key: str, file: str = "") -> Any:
    """What a data file of an export hands over."""
    script = (folder / "data" / f"{file or key}.js").read_text(encoding="ascii")
    match = re.fullmatch(r'kit\.loaded\(("[^"]+"), "([A-Za-z0-9+/=]+)"\);\n', script)
    assert match
    assert json.loads(match[1]) == key
    return json.loads(gzip.decompress(base64.b64decode(match[2])))


@pytest.fixture(scope="module")
def exported(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "both"
    assert export(["first", "second"], folder, results=results) == folder / "index.html"
    return folder


@pytest.fixture(scope="module")
def library(results: Path) -> Iterator[Library]:
    library = Library(results)
    yield library
    library.close()


def test_an_export_has_what_the_server_tells(exported: Path, library: Library) -> None:
    assert [run["run"] for run in piece(exported, "runs", "export")] == ["first", "second"]
    for name in ("first", "second"):
        library.table(name)
        library.wait_for_failures(name)
        served, table = json.loads(library.table(name).json), piece(exported, f"run/{name}")
        assert table["classified"] == 1
        for key in ("names", "plan", "episodes"):
            assert table[key] == served[key], key
        chunks = [piece(exported, f"episodes/{name}/{number}") for number in set(table["episodes"]["chunk"])]
        ids = [episode_id for episode_id in table["episodes"]["id"] if episode_id]
        assert [episode["view"]["id"] for chunk in chunks for episode in chunk] == ids
        for episode_id, number in zip(table["episodes"]["id"], table["episodes"]["chunk"], strict=True):
            if episode_id:
                (view,) = (e["view"] for e in chunks[number] if e["view"]["id"] == episode_id)
                assert view == library.episode(name, episode_id)
        assert len(piece(exported, f"figures/{name}")) > 5
    assert any(figure["name"] == "failure_classes" for figure in piece(exported, "figures/first"))


def test_an_export_compares_all_pairs(exported: Path, library: Library) -> None:
    pairs = [pair for name in ("first", "second") for pair in piece(exported, f"compare/{name}")]
    assert len(pairs) == 3 * 2
    for pair in pairs:
        a, b = (Side(**pair[side]) for side in ("a", "b"))
        assert pair == library.compare(a, b)


def test_an_export_has_all_scripts_of_its_page_and_nothing_inline(exported: Path) -> None:
    page = (exported / "index.html").read_text()
    for path in re.findall(r'(?:src|href)="((?:app|data)/[^"]+)"', page):
        assert (exported / path).is_file(), path
    assert page.index("Content-Security-Policy") < page.index("<script")
    assert page.index("app/source.js") < page.index("data/export.js") < page.index("app/main.js")
    assert "unsafe" not in page
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


def test_a_browser_opens_an_export_from_disk(exported: Path, seen: Seen) -> None:
    page = seen.open(f"{exported.resolve().as_uri()}/index.html#/run?run=first")
    told = page.evaluate("""async () => {
        const { episodes } = await kit.source.run("first");
        const view = await kit.source.episode("first", episodes.id[1]);
        const found = await kit.source.search("first", "BEHIND the door");
        const side = (agent) => ({ run: "first", agent, model: "offline-player" });
        const { text } = await kit.source.compare(side("baseline"), side("reasoning"));
        const isAsked = view.id === episodes.id[1];
        return [kit.source.live, isAsked, view.world.moments.length, found.ids.length, text];
    }""")
    assert told[:4] == [False, True, 65, 2]
    assert told[4].startswith("reasoning is worse than baseline")
    seen.check(exported.resolve().as_uri())


def test_what_models_wrote_stays_text_and_secrets_stay_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: Seen
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("MY_TOKEN", "none")  # a stand-in, which is a word, too
    hostile = [Reply("turn left", thinking=HOSTILE), Reply(raw=f"none</script>{KEY} http://me:pw1@host/x")]
    write_run(tmp_path / "results", [play(hostile, variant="reasoning")])
    folder = tmp_path / "export"
    export("r", folder, results=tmp_path / "results")
    steps = piece(folder, "episodes/r/0")[0]["view"]["steps"]
    assert steps[1]["answer"] == "none</script>*** http://***@host/x"
    everything = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert HOSTILE.encode(errors="replace") not in everything
    (episode_id,) = piece(folder, "run/r")["episodes"]["id"]
    page = seen.open(f"{folder.resolve().as_uri()}/index.html#/episode?run=r&id={episode_id}&step=2")
    page.get_by_text("none</script>***").first.wait_for()
    seen.check(folder.resolve().as_uri())


def test_an_export_takes_the_place_of_an_earlier_one_alone(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "results", [play(expert)])
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds something else than an earlier export"):
        export("r", folder, results=tmp_path / "results")
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]
    (folder / "thesis.tex").unlink()
    export("r", folder, results=tmp_path / "results")
    (folder / "data" / "old.js").write_text("")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(exporting, "_page", fail)
        with pytest.raises(FileWriteError, match="No space left on device"):
            export("r", folder, results=tmp_path / "results")
    assert (folder / "data" / "old.js").exists()
    export("r", folder, results=tmp_path / "results")
    assert not (folder / "data" / "old.js").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "results"}
    with pytest.raises(InputError, match="no run 'nothing'"):
        export(["r", "nothing"], tmp_path / "new", results=tmp_path / "results")
    with pytest.raises(InputError, match="name at least one run"):
        export([], tmp_path / "new", results=tmp_path / "results")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        export("r", tmp_path / "file", results=tmp_path / "results")
    assert not (tmp_path / "new").exists()


def test_damaged_episodes_are_exported_without_their_steps(tmp_path: Path) -> None:
    good, bad = play(expert, seed=0), play(expert, seed=1)
    results = write_run(tmp_path / "results", [good, bad]).parent
    file = results / "r" / STEPS
    file.write_text(file.read_text().replace(f'"{bad.steps[1].inference_id}"', "17"))
    export("r", tmp_path / "export", results=results)
    views = [episode["view"] for episode in piece(tmp_path / "export", "episodes/r/0")]
    assert [view["id"] for view in views] == [good.record.episode_id, bad.record.episode_id]
    assert "inference_id has an impossible value" in views[1]["notReplayed"]
    assert views[0]["notReplayed"] is None
    shutil.rmtree(tmp_path / "export")
