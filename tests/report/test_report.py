"""The report: what it says of whole, unfinished, broken and merged runs, and BALROG's figures."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babyai_kit import load_episodes, load_failures, load_replay, write_report
from babyai_kit.__main__ import main
from babyai_kit.errors import InputError, ModelError, RateLimited
from babyai_kit.experiment.reconciliation import Reconciliation
from babyai_kit.pages import script
from babyai_kit.report import Report
from babyai_kit.runs.answers import REMEDIES
from babyai_kit.runs.journal import Journal, read_reconciliation
from babyai_kit.runs.run import Run
from babyai_kit.runs.shards import merge
from babyai_kit.stats import estimates
from tests.replay.test_replay import HOSTILE, Page
from tests.support.journals import SLOW, Reply, expert, idle, play, rename_model, write_run
from tests.support.project import CONFIG, ROOT

TWO = ("goto", "pickup")


def outcomes(results: Path, matrix: dict[str, list[list[int]]], model: str = "offline-player") -> Path:
    """A run whose variants reach the goal (1) or not (0), by seed and task of TWO."""
    episodes = [
        play(expert if reached else idle, variant=variant, task=task, seed=seed, model=model)
        for variant, seeds in matrix.items()
        for seed, reaches in enumerate(seeds)
        for task, reached in zip(TWO, reaches, strict=True)
    ]
    return write_run(results, episodes, model=model)


def report(results: Path, config: Path = CONFIG) -> Report:
    """The report of run `r` with few figures, where a test is about words: drawing takes most of the time."""
    return write_report("r", results=results, config=config, figures=FEW)


FEW = ("success_rate", "success_against_steps", "paired_differences")
MATRIX = {"baseline": [[1, 0], [1, 1], [0, 0]], "history": [[1, 1], [1, 1], [1, 0]]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run with its report."""
    results = tmp_path_factory.mktemp("whole")
    outcomes(results, MATRIX)
    write_report("r", results=results, config=CONFIG)
    return results / "r"


def page_of(folder: Path) -> Page:
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def words_of(folder: Path) -> str:
    return " ".join(page_of(folder).words.split())


def summary_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def test_the_summary_has_balrogs_figures(whole: Path) -> None:
    summary = summary_of(whole)
    assert (summary["run"], summary["complete"], summary["llm"]) == ("r", True, False)
    assert summary["episodes"] == {"planned": 12, "finished": 12, "errors": 0, "unfinished": 0}
    assert list(summary["agents"]) == ["baseline", "history"]
    episodes = load_episodes("r", results=whole.parent)
    for agent, seeds in MATRIX.items():
        scores = summary["agents"][agent]
        babyai = scores["environments"]["babyai"]
        pooled = [float(x) for seed in seeds for x in seed]
        mean = sum(pooled) / 6
        # By hand, as BALROG's package does it: the standard deviation of the pooled episodes, ddof 0.
        error = 100 * math.sqrt(sum((x - mean) ** 2 for x in pooled) / 6) / math.sqrt(6)
        assert scores["Final score"] == babyai["progression_percentage"] == pytest.approx(100 * mean)
        assert scores["standard_error"] == babyai["standard_error"] == pytest.approx(error)
        assert babyai["episodes_played"] == 6
        rows = episodes[episodes["variant"] == agent]
        assert babyai["average_steps"] == pytest.approx(rows["episode_length"].mean())
        assert scores["total_input_tokens"] == babyai["input_tokens"] == rows["input_tokens"].sum()
        assert scores["client"]["model_id"] == "offline-player"
        assert scores["agent"]["digest"] == rows["variant_digest"].iloc[0]
        for task, outcome in zip(TWO, np.array(seeds).T, strict=True):
            one = babyai["tasks"][task]
            assert one["progression_percentage"] == pytest.approx(100 * outcome.mean())
            assert one["standard_error"] == pytest.approx(100 * outcome.std() / math.sqrt(3))
            assert one["episodes_played"] == 3
            assert one["balrog_task"] == f"BabyAI-MixedTrainLocal-v0/{task}"
    low, high = summary["agents"]["baseline"]["environments"]["babyai"]["interval_95"]
    known = estimates(episodes, "success").iloc[0]
    assert (low, high) == pytest.approx((100 * known["low"], 100 * known["high"]))


def test_the_page_is_whole_in_itself(whole: Path) -> None:
    page = page_of(whole)
    assert page.links
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert not page.handlers
    assert page.scripts == [str(script("frames.js"))]
    assert "http" not in page.policies[0]
    assert [frame["sandbox"] for frame in page.frames] == ["allow-scripts"] * 2
    for frame in page.frames:
        inside = Page(frame["srcdoc"] or "")
        assert len(inside.scripts) == 3
        assert all(link.startswith("data:") for link in inside.links)
    anchors = {link[1:] for link in page.links if link.startswith("#")}
    text = (whole / "report.html").read_text(encoding="utf-8")
    assert all(f'id="{anchor}"' in text for anchor in anchors)


def test_the_page_says_what_the_run_is(whole: Path) -> None:
    words = words_of(whole)
    manifest = json.loads((whole / "run.json").read_text())
    assert "No language model played." in words
    assert "12 of 12 planned episodes are finished; none ended with an error." in words
    assert "INCOMPLETE" not in words
    command = "python -m babyai_kit run r --variants baseline,history --models offline-player"
    command += " --tasks goto,pickup --seeds 0:3 --num-dists 0 --repeats 1 --history-length 8"
    assert f"{command} --max-tokens 1024" in words
    for name, version in manifest["versions"].items():
        assert f"{name}{version}" in words
    digests = [digest for of_models in manifest["digests"].values() for digest in of_models.values()]
    for text in (*digests, manifest["run_id"]):
        assert text in words
    assert "You are an agent in a grid world." in words  # the prompt, whose digest is still the run's
    assert manifest["dialects"] == {"offline-player": {"answer_format": "json", "omitted": []}}
    assert "How each model was asked offline-playerwith JSON mode" in words
    assert "50.0%" in words
    assert "83.3%" in words
    assert "has not been compared with ClickHouse yet; to do so: python -m babyai_kit reconcile r" in words
    assert "Success rate over all tasks, difference from baseline" in words
    assert "+33.3" in words
    assert "if errors and missing episodes count" not in words


def test_the_command_in_the_page_is_one_the_kit_takes(whole: Path) -> None:
    from babyai_kit.__main__ import _parser
    from babyai_kit.runs.commands import run_commands

    manifest = Run.open("r", results=whole.parent).manifest
    plan = replace(manifest.plan, seeds=(5, 9))
    for sampling in (
        replace(manifest.sampling, temperature=0.5, call_seeds=False, reasoning_effort="low"),
        replace(manifest.sampling, thinking_budget_tokens=512),
    ):
        (line,) = run_commands(replace(manifest, sampling=sampling, plans=(plan,)))
        args = _parser().parse_args(line.split()[3:])
        for name, value in vars(plan).items():
            parsed = getattr(args, name)
            assert (tuple(parsed) if isinstance(parsed, list) else parsed) == value
        for name, value in vars(sampling).items():
            default = True if name == "call_seeds" else None
            parsed = getattr(args, name)
            assert (default if parsed is None else parsed) == value


def test_an_unfinished_run_says_so_and_counts_whole_seeds(tmp_path: Path) -> None:
    episodes = [
        play(expert, task="goto", seed=0),
        play(expert, task="pickup", seed=0),
        play(expert, task="goto", seed=1),
        play(idle, task="pickup", seed=1, stop_after=3),
        play(["turn left"], task="goto", seed=2, error=RateLimited(HOSTILE)),
    ]
    folder = write_run(tmp_path, episodes, seeds=range(3))
    done = report(tmp_path)
    assert str(done.standing).startswith("INCOMPLETE: 3 of 6 planned episodes are finished; 1 ended with an")
    words = words_of(folder)
    assert str(done.standing) in words
    assert "rate limit1, for example: " in words
    assert "baseline2" in words  # unfinished, by variant
    assert "if errors and missing episodes count as failures, or as successes" in words
    assert "50.0%to 100.0%" in words
    assert "The run has no failed episode." in words
    summary = summary_of(folder)
    assert summary["episodes"] == {"planned": 6, "finished": 3, "errors": 1, "unfinished": 2}
    assert not summary["complete"]
    babyai = summary["agents"]["baseline"]["environments"]["babyai"]
    assert (babyai["episodes_played"], babyai["progression_percentage"], babyai["errors"]) == (2, 100.0, 1)
    assert babyai["tasks"]["goto"]["episodes_played"] == 2


def test_invalid_answers_are_counted_apart_with_what_helps(tmp_path: Path) -> None:
    wrapped = Reply(raw='```json\n{"action": "drop"}\n```')
    episodes = [
        play([Reply(raw="")] * 3 + [wrapped] * 2, seed=0),
        play(["turn left"] * 4, seed=0, variant="history", stop_after=4),
        play([Reply("fly")], seed=1, variant="history", stop_after=2),
    ]
    folder = write_run(tmp_path, episodes)
    report(tmp_path)
    words = words_of(folder)
    assert "agentinvalidemptywrappedunknown action baseline5 of 6432 history1 of 61" in words
    for reason in ("empty", "wrapped", "unknown action"):
        assert f"{reason}: {REMEDIES[reason]}" in words
    assert "cut off" not in words
    failed = load_failures("r", results=tmp_path)
    assert list(failed["invalid_reasons"]) == ["empty: 3, wrapped: 2"]


def test_errors_are_told_by_an_example_of_each_kind(tmp_path: Path) -> None:
    episodes = [
        play([], seed=0, error=SLOW),
        play([], seed=1, error=ModelError(f"first {HOSTILE}" + "x" * 5000, kind="server")),
        play([], seed=2, error=ModelError("second", kind="server")),
    ]
    folder = write_run(tmp_path, episodes)
    examples = report(tmp_path).standing.examples
    assert list(examples) == ["server", "timeout"]
    assert examples["timeout"] == "slow"
    assert examples["server"].startswith("first ")
    assert len(examples["server"]) < 300
    assert "timeout1, for example: slow" in words_of(folder)


@pytest.mark.parametrize("episodes", [[], [play(idle, stop_after=2)], [play([], error=SLOW)]])
def test_a_run_without_an_outcome_has_a_report(tmp_path: Path, episodes: list[Any]) -> None:
    folder = write_run(tmp_path, episodes)
    done = report(tmp_path)
    assert not done.standing.complete
    assert done.standing.finished == 0
    assert "INCOMPLETE: 0 of 1" in words_of(folder)
    for agent in summary_of(folder)["agents"].values():
        assert agent["Final score"] is None


def test_a_model_is_named_and_called_one(tmp_path: Path) -> None:
    folder = outcomes(tmp_path, {"baseline": [[1, 0]]}, model="gpt-4o-mini-2024-07-18")
    report(tmp_path)
    words = words_of(folder)
    assert "played by gpt-4o-mini-2024-07-18" in words
    assert "No language model" not in words
    assert "not an LLM" not in words
    assert summary_of(folder)["llm"] is True
    assert "only one agent" in words


def test_the_offline_player_stays_what_it_is_when_trained(tmp_path: Path) -> None:
    folder = outcomes(tmp_path, {"baseline": [[1, 0]]}, model="ft:offline-player:kit:curated:1")
    report(tmp_path)
    assert "No language model played." in words_of(folder)
    assert summary_of(folder)["llm"] is False
    assert "Offline player: not an LLM" in load_replay("r", results=tmp_path).html()


def test_two_models_are_two_agents(tmp_path: Path) -> None:
    episodes = [play(p, seed=0, model=m) for p, m in ((expert, "small"), (idle, "offline-player"))]
    folder = write_run(tmp_path, episodes, model="small")
    done = report(tmp_path)
    assert done.standing.complete  # the plan is the present model's
    assert "Not all of this is a language model." in words_of(folder)
    summary = summary_of(folder)
    assert summary["llm"] is None
    scores = {name: agent["Final score"] for name, agent in summary["agents"].items()}
    assert scores == {"baseline, offline-player": 0.0, "baseline, small": 100.0}


def test_variants_of_several_models_stand_under_their_model(tmp_path: Path) -> None:
    episodes = [
        play([Reply(raw="")] * 2 if seed else policy, variant=variant, seed=seed, model=model)
        for model, policy in (("large", expert), ("small", idle))
        for variant in ("baseline", "history")
        for seed in (0, 1)
    ]
    folder = write_run(tmp_path, episodes, model="small")
    report(tmp_path)
    html = (folder / "report.html").read_text(encoding="utf-8")
    for section in ("results", "comparison", "failures", "answers", "spending"):
        table = html.partition(f'<section id="{section}">')[2].partition("</table>")[0]
        words = re.findall(r'<tr[^>]* class="group"><th[^>]*>([^<]*)|class="label">([^<]+)</th>', table)
        names = [
            heading or name for heading, name in words if (heading or name) not in ("agent", "task", "goto")
        ]
        both = ["large", "baseline", "history", "small", "baseline", "history"]
        assert names == (both if section != "comparison" else ["large", *both[2:]]), section


def test_levels_and_repeats_are_kept_apart(tmp_path: Path) -> None:
    episodes = [
        play(policy, variant=variant, num_dists=level, repeat=repeat, seed=seed)
        for level in (0, 2)
        for seed in (0, 1)
        for variant, policies in {"baseline": (expert, idle), "history": (expert, expert)}.items()
        for repeat, policy in enumerate(policies)
    ]
    folder = write_run(tmp_path, episodes)
    report(tmp_path)
    agents = summary_of(folder)["agents"]
    assert {name: agent["Final score"] for name, agent in agents.items()} == {
        "baseline, 0": 50.0,
        "baseline, 2": 50.0,
        "history, 0": 100.0,
        "history, 2": 100.0,
    }
    assert agents["history, 2"]["environments"]["babyai"]["episodes_played"] == 4
    words = words_of(folder)
    assert "history, 0+50.0" in words
    assert "history, 2+50.0" in words


def test_merged_shards_make_one_report(tmp_path: Path) -> None:
    for index in range(2):
        folder = write_run(
            tmp_path, [play(expert if index else idle, seed=index)], f"part{index}", seeds=range(2)
        )
        shard = tmp_path / "r" / "shards" / f"{index}-of-2"
        shard.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, shard)
        for name in ("run.json", "steps.jsonl", "episodes.jsonl"):
            (shard / name).write_text((shard / name).read_text().replace(f'"part{index}"', '"r"'))
    assert merge("r", results=tmp_path) == 2
    done = report(tmp_path)
    assert done.standing.complete
    assert summary_of(tmp_path / "r")["agents"]["baseline"]["Final score"] == 50.0
    merged = json.loads((tmp_path / "r/run.json").read_text())["merged"]
    assert merged
    assert all(run_id in words_of(tmp_path / "r") for run_id in merged)


def test_changed_prompts_are_not_shown(tmp_path: Path) -> None:
    folder = outcomes(tmp_path, {"baseline": [[1, 1]]})
    config = Path(shutil.copytree(CONFIG, tmp_path / "config"))
    prompt = config / "functions/act/system.minijinja"
    prompt.write_text(prompt.read_text() + "\nBe quick.")
    report(tmp_path, config)
    words = words_of(folder)
    assert "the prompt has changed since; its digest is now" in words
    assert "You are an agent" not in words
    report(tmp_path, tmp_path / "none")
    assert "no TOML file under" in words_of(folder)


def test_what_does_not_replay_is_said_and_the_rest_stands(tmp_path: Path) -> None:
    folder = outcomes(tmp_path, {"baseline": [[1, 0], [0, 0]]})
    file = folder / "steps.jsonl"
    file.write_text(file.read_text().replace("a wall", "a hedge"))
    report(tmp_path)
    words = words_of(folder)
    assert "Failures could not be analysed: step 0 of" in words
    assert "25.0%" in words
    assert not page_of(folder).frames


def test_the_comparison_with_clickhouse_is_told(tmp_path: Path) -> None:
    folder = outcomes(tmp_path, {"baseline": [[1, 1]]})
    steps = len((folder / "steps.jsonl").read_text().splitlines())
    for reconciliation, expected, absent in (
        (Reconciliation(steps), "0 of them missing in ClickHouse; 0 orphans.", "compare again"),
        (Reconciliation(3), f"The journal now has {steps} steps: compare again.", "The two differ"),
        (Reconciliation(steps, missing={"e": [0, 1]}), "The two differ.", "compare again"),
    ):
        with Journal(folder) as journal:
            journal.write_reconciliation(reconciliation.as_json())
        report(tmp_path)
        words = words_of(folder)
        assert expected in words
        assert absent not in words
    (folder / "reconciliation.json").write_text("{")
    assert read_reconciliation(folder) == {}


@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_text_stays_text(tmp_path: Path) -> None:
    answers = [Reply("turn left", thinking=HOSTILE), Reply(raw=HOSTILE)]
    name = HOSTILE.replace("\ud800", "")
    broken = play(answers, seed=1, model="m", error=ModelError(f"{HOSTILE}: x", kind="timeout"))
    folder = write_run(tmp_path, [play(answers, seed=0, model="m"), broken], model="m")
    rename_model(folder, "m", name)
    write_report("r", results=tmp_path, config=CONFIG)
    page = page_of(folder)
    assert page.scripts == [str(script("frames.js"))]
    assert not page.handlers
    assert page.tags.count("iframe") == 1
    assert page.tags.count("img") == len([link for link in page.links if link.startswith("data:image/png")])
    assert "<script>window.hacked" in page.words
    assert "<script>window" not in (folder / "report.html").read_text(encoding="utf-8")
    assert not set("\x00\x07\x1b\u202e\u2028") & set(page.words)
    summary_of(folder)


def test_the_command_says_how_far_the_run_is(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    before = {path.name: path.read_bytes() for path in whole.iterdir()}
    assert main(["report", "r", "--results", str(whole.parent)]) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert lines[0] == "12 of 12 planned episodes are finished; none ended with an error."
    assert lines[1:] == [f"{whole}/report.html", f"{whole}/summary.json"]
    said = shown.err.splitlines()
    assert said[:3] == ["Reading run r.", "Replaying failures among 12 episodes.", said[2]]
    assert said[2].startswith("Drawing figures: 1 of ")
    assert said[-1] == "Making tables and replays."
    # The same journal gives the same files.
    assert {path.name: path.read_bytes() for path in whole.iterdir()} == before
    assert main(["report", "none", "--results", str(tmp_path)]) == 2
    assert "no run 'none'" in capsys.readouterr().err


def test_from_python_it_is_written_in_silence(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole, tmp_path / "r")
    report(tmp_path)
    assert capsys.readouterr() == ("", "")


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch) -> None:
    folder = outcomes(tmp_path, {"baseline": [[1, 1]]})
    (folder / "report.html").write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        report(tmp_path)
    assert (folder / "report.html").read_text() == "old"
    assert not list(folder.glob(".*.part"))
