"""Replays: the right episode, the right pictures, whole files, and hostile text that stays text."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from babyai_kit import load_replay
from babyai_kit.__main__ import main
from babyai_kit.errors import InputError, JournalError, ModelError, NoEpisodeError
from babyai_kit.hostile_text import visible
from babyai_kit.pages import script
from babyai_kit.replay.tiles import legible
from babyai_kit.runs.run import Run
from babyai_kit.runs.trajectories import choose
from tests.support.journals import SLOW, Reply, expert, idle, play, write_run

HOSTILE = (
    "<script>window.hacked = 1</script></script><img src=x onerror='window.hacked = 2'>\"'`&lt;"
    "<!-- ]]> \x00\x07\x1b[31m\u202egnp.evil\u2028\ud800 {{ 7 * 7 }} {% raw %}"
)


class Page(HTMLParser):
    """What a browser would find: tags, addresses, scripts, policy and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.scripts: list[str] = []
        self.frames: list[dict[str, str | None]] = []
        self.policies: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        attributes = dict(attrs)
        self.links += [
            attributes[name] or ""
            for name in ("src", "href", "action", "data", "poster")
            if name in attributes
        ]
        self.handlers += [name for name in attributes if name.startswith("on")]
        if tag == "iframe":
            self.frames.append(attributes)
        if tag == "script":
            self.scripts.append("")
        if attributes.get("http-equiv") == "Content-Security-Policy":
            self.policies.append(attributes["content"] or "")
        self._open.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.words += data

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass


def episode_of(page: str) -> Any:
    """The player's data."""
    return json.loads(Page(page).scripts[0])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    hostile = [Reply("turn left", thinking=HOSTILE), Reply(raw=HOSTILE), "go forward"]
    write_run(
        tmp_path,
        [
            play(expert, task="goto", seed=1),
            play(expert, task="putnext", seed=1),
            play(hostile, task="putnext", seed=2, variant="reasoning"),
            play(idle, task="goto", seed=2),
            play(["turn left"] * 3, task="goto", seed=3, error=ModelError(HOSTILE, kind="timeout")),
            play(idle, task="goto", seed=4, stop_after=2),
        ],
    )
    return tmp_path


def test_a_replay_is_found_by_what_is_asked(results: Path) -> None:
    def outcome_of(**criteria: Any) -> tuple[str, int, str]:
        trajectory = load_replay("r", results=results, **criteria).trajectory
        return trajectory.key.task, trajectory.key.seed, trajectory.outcome

    assert outcome_of() == ("goto", 1, "success")
    assert outcome_of(success=False) == ("goto", 2, "failure")
    assert outcome_of(task="putnext", success=False) == ("putnext", 2, "failure")
    assert outcome_of(variant="reasoning") == ("putnext", 2, "failure")
    assert outcome_of(seed=3) == ("goto", 3, "error")
    assert outcome_of(seed=4) == ("goto", 4, "unfinished")
    one = load_replay("r", results=results, seed=4).trajectory
    assert load_replay("r", results=results, episode_id=one.episode_id).trajectory == one


def test_what_is_not_there_is_said_with_what_is(results: Path) -> None:
    with pytest.raises(NoEpisodeError, match=r"of task putnext and seed 1 failed \(success: 1\); "):
        load_replay("r", results=results, task="putnext", seed=1, success=False)
    with pytest.raises(NoEpisodeError, match=r"no episode of variant 'history'; choose from "):
        load_replay("r", results=results, variant="history")
    with pytest.raises(NoEpisodeError, match="error: 1"):  # an error is no failure of the agent
        load_replay("r", results=results, seed=3, success=False)
    with pytest.raises(InputError, match="no run 'other'"):
        load_replay("other", results=results)


def test_episodes_come_in_the_order_of_the_plan_and_of_the_present_prompt(results: Path) -> None:
    folder = results / "r"
    order = [(t.key.variant, t.key.task, t.key.seed) for t in Run.open("r", results=results).trajectories()]
    assert order == [
        *(("baseline", "goto", seed) for seed in (1, 2, 3, 4)),
        ("baseline", "putnext", 1),
        ("reasoning", "putnext", 2),
    ]
    manifest = json.loads((folder / "run.json").read_text())
    manifest["digests"]["baseline"] = dict.fromkeys(manifest["digests"]["baseline"], "another")
    (folder / "run.json").write_text(json.dumps(manifest))
    assert [t.key.variant for t in Run.open("r", results=results).trajectories()] == ["reasoning"]


def test_steps_of_an_attempt_that_another_replaced_are_no_episode(tmp_path: Path) -> None:
    whole = play(expert, seed=1)
    write_run(tmp_path, [play(idle, seed=1, stop_after=2), whole])
    (trajectory,) = Run.open("r", results=tmp_path).trajectories()
    assert trajectory.episode_id == whole.record.episode_id


def test_what_another_environment_recorded_is_not_shown(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [play(expert, seed=1)])
    file = folder / "steps.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[2]["observation"] += "\na blue dragon 1 step forward"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    replay = load_replay("r", results=tmp_path)
    with pytest.raises(JournalError, match=r"step 2 of goto, seed 1, does not replay"):
        replay.html()
    lines[2]["observation"] = lines[2]["observation"].split("\na blue dragon")[0]
    lines[-1]["reward"] = 0.5
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(JournalError, match="does not replay"):
        load_replay("r", results=tmp_path).gif()


def test_the_player_needs_nothing_else_and_holds_every_step(results: Path) -> None:
    replay = load_replay("r", results=results, task="putnext", success=True)
    text = replay.html()
    page, data = Page(text), episode_of(text)
    assert all(link.startswith("data:") for link in page.links)
    assert len(page.scripts) == 3
    assert not page.handlers
    assert page.policies[0].startswith("default-src 'none'; img-src data:; ")
    steps = replay.trajectory.steps
    assert [s["action"] for s in data["steps"]] == [s.action for s in steps]
    assert [s["observation"] for s in data["steps"]] == [s.observation for s in steps]
    assert len(data["world"]["moments"]) == len(steps) + 1
    assert data["outcomeText"].startswith(f"Success after {len(steps)} steps, return 0.9")
    assert "not an LLM" in page.words
    assert data["tiles"]["sheet"].startswith("data:image/png;base64,")
    assert len(text) < 100_000


def test_of_a_failure_the_player_tells_the_class(results: Path) -> None:
    data = episode_of(load_replay("r", results=results, task="goto", success=False).html())
    assert data["outcomeText"] == "Failure: the goal was not reached in 64 steps"
    assert data["failure"]["label"] == "loop"
    assert data["failure"]["text"].startswith("At least half of its steps")


def test_a_run_in_shards_is_to_be_joined_first(tmp_path: Path) -> None:
    write_run(tmp_path, [play(expert, seed=1)]).rename(tmp_path / "0-of-2")
    (tmp_path / "r" / "shards").mkdir(parents=True)
    (tmp_path / "0-of-2").rename(tmp_path / "r" / "shards" / "0-of-2")
    with pytest.raises(InputError, match="is in shards; join them first: python -m babyai_kit merge r"):
        load_replay("r", results=tmp_path)


def test_hostile_text_stays_text(results: Path) -> None:
    text = load_replay("r", results=results, variant="reasoning").html()
    page, data = Page(text), episode_of(text)
    assert data["steps"][0]["thinking"] == visible(HOSTILE)
    assert data["steps"][1]["answer"] == visible(HOSTILE)
    assert not data["steps"][1]["valid"]
    assert "<script>window" not in text
    assert page.tags.count("script") == 3
    assert "img" not in page.tags
    assert not page.handlers
    text.encode()


def test_signs_stand_for_what_cannot_be_seen() -> None:
    assert visible("a\tb\nc\r\nd") == "a\tb\nc\nd"
    assert visible("\x00\x1b\x7f\r") == "␀␛␡␍"
    assert visible("\u202e\u2066\x85\ud800\u2028") == "�" * 5
    assert visible("naïve 木 🙂 é") == "naïve 木 🙂 é"


def test_in_a_page_the_player_is_a_sandboxed_frame(results: Path) -> None:
    replay = load_replay("r", results=results, variant="reasoning")
    page = Page(replay._repr_html_())
    assert page.tags == ["iframe", "script", "p"]
    assert page.scripts == [str(script("frames.js"))]
    assert page.words.startswith("The replay of reasoning · putnext, seed 2 · model offline-player · run r ")
    (frame,) = page.frames
    assert frame["srcdoc"] == replay.html()
    assert frame["sandbox"] == "allow-scripts"


def test_the_gif_moves_and_its_pictures_are_exact(results: Path) -> None:
    for criteria in ({"task": "putnext", "success": True}, {"variant": "reasoning"}, {"seed": 4}):
        replay = load_replay("r", results=results, **criteria)
        image = Image.open(io.BytesIO(replay.gif()))
        grids = [legible(env.get_frame(tile_size=24)) for env, _ in replay.trajectory.states()]
        assert image.n_frames <= len(grids)
        assert image.info["loop"] == 0
        for index, grid in ((0, grids[0]), (image.n_frames - 1, grids[-1])):
            image.seek(index)
            pixels = np.asarray(image.convert("RGB"))[12 : 12 + grid.shape[0], 12 : 12 + grid.shape[1]]
            assert (pixels == grid).all()
        assert image.info["duration"] >= 3000


def test_files_are_written_whole_by_their_ending(results: Path) -> None:
    replay = load_replay("r", results=results)
    page = replay.save(results / "new" / "a.HTML")
    assert page.read_text(encoding="utf-8") == replay.html()
    assert replay.save(results / "new" / "a.gif").read_bytes()[:6] == b"GIF89a"
    assert len(list((results / "new").iterdir())) == 2
    with pytest.raises(InputError, match=r"a\.mp4 ends in neither \.html nor \.gif"):
        replay.save("a.mp4")
    with pytest.raises(InputError, match="cannot write"):
        replay.save(page / "b.html")
    assert repr(replay) == ("<Replay of baseline · goto, seed 1 · model offline-player · run r: success>")


def test_the_command_writes_where_it_says(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--results", str(results)]
    assert main(["replay", "r", *at, "--task", "goto", "--failure"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "baseline · goto, seed 2 · model offline-player · run r: failure"
    assert lines[1] == f"{results}/r/replays/baseline-goto-seed2-repeat0-failure.html"
    assert episode_of(Path(lines[1]).read_text())["maxSteps"] == 64
    out = results / "x.gif"
    assert main(["replay", "r", *at, "--success", "--variant", "baseline", "--out", str(out)]) == 0
    assert Image.open(out).format == "GIF"
    assert main(["replay", "r", *at, "--seed", "4", "--format", "gif"]) == 0
    assert (results / "r/replays/baseline-goto-seed4-repeat0-unfinished.gif").exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["r", "--task", "open"], "no episode of task 'open'; choose from goto, putnext"),
        (["r", "--format", "gif", "--out", "a.html"], "does not end in .gif"),
        (["r", "--out", "a.mp4"], "ends in neither"),
        (["nothing"], "no run 'nothing'"),
        (["../r"], "is not valid"),
    ],
)
def test_bad_input_exits_2(
    results: Path, words: list[str], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", *words, "--results", str(results)]) == 2
    assert error in capsys.readouterr().err


def test_an_episode_without_a_step_is_not_chosen(tmp_path: Path) -> None:
    write_run(tmp_path, [play([], seed=1, error=SLOW), play(expert, seed=2)])
    trajectories = Run.open("r", results=tmp_path).trajectories()
    assert [t.outcome for t in trajectories] == ["error", "success"]
    assert choose(trajectories).key.seed == 2
