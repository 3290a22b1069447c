"""A named suite as a run's plan, in Python and from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from babyai_kit import Run, connect, load_failures, load_replay, make_env, run_experiment
from babyai_kit.__main__ import main
from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.environment import SUITES, Suite
from babyai_kit.errors import InputError
from babyai_kit.experiment.backlog import Backlog
from babyai_kit.experiment.estimate import forecast_of
from babyai_kit.experiment.live_episode import PlannedEpisode
from babyai_kit.failures import CLASSES
from babyai_kit.figures import known_figures, success_rate
from babyai_kit.report.tables import by_task
from babyai_kit.runs.plan import Sampling, make_plan
from babyai_kit.runs.references import reference_episodes
from tests.support.project import CONFIG

SMALL = ("BabyAI-UnlockPickup-v0", "BabyAI-GoToObjMazeS4-v0")
"""Two levels of the suite rooms whose episodes are short."""


@pytest.mark.e2e
async def test_a_suite_is_played_and_its_run_can_be_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for suite in (Suite("small", SMALL, 0, "Short."), Suite("crowd", ("goto",), 8, "Short.")):
        monkeypatch.setitem(SUITES, suite.name, suite)
    of_run = {"variants": ["baseline"], "results": tmp_path, "progress": False}
    async with connect(env_file=None, config=CONFIG, data=data, quiet=True) as session:
        crowd = await run_experiment(session, "crowd", suite="crowd", seeds=[200], **of_run)
        rooms = await run_experiment(session, "rooms", suite="small", seeds=[200], **of_run)
        with pytest.raises(InputError, match="give suite or tasks"):
            await run_experiment(session, "rooms", tasks=["goto"], suite="rooms", **of_run)
    assert (set(crowd["task"]), set(crowd["num_dists"])) == ({"goto"}, {8})
    assert (set(rooms["task"]), set(rooms["num_dists"])) == (set(SMALL), {0})
    assert set(rooms["status"]) == {"ok"}
    assert rooms["shortest_length"].isna().all()
    assert Run.open("rooms", results=tmp_path).manifest.plan.tasks == SMALL
    failures = load_failures("rooms", results=tmp_path)
    assert len(failures) == (~rooms["success"]).sum() > 0
    assert set(failures["failure"]) <= set(CLASSES)
    assert by_task(rooms).head == ["agent", *SMALL]
    long = by_task(reference_episodes([1000], SUITES["long"].tasks))
    assert (long.head[0], len(long.head)) == ("task", 3)
    assert [row[0] for row in long.rows] == list(SUITES["long"].tasks)
    assert "length_against_shortest" not in known_figures(rooms)
    assert [axes.get_title() for axes in success_rate(rooms).axes] == ["all tasks", *SMALL]
    html = load_replay("rooms", results=tmp_path, episode_id=rooms["episode_id"].iloc[0]).html()
    assert SMALL[0] in html or SMALL[1] in html


def test_at_most_counts_the_steps_that_each_seed_allows() -> None:
    """A longer mission of a level has a higher limit."""
    config, level, seeds = load_config(CONFIG, Settings()), "BabyAI-MiniBossLevel-v0", range(10)
    plan = make_plan(config, run="r", variants=["baseline"], tasks=[level], seeds=seeds)
    owed = [PlannedEpisode(key, "", "") for key in plan.keys(config.own_models)]
    limits = []
    for seed in seeds:
        env = make_env(level)
        env.reset(seed=seed)
        limits.append(env.max_steps)
    assert len(set(limits)) > 1
    assert forecast_of(config, Backlog([], owed), Sampling()).rest().at_most.calls == sum(limits)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--suite", "boss"], "unknown suite 'boss'"),
        (["--suite", "rooms", "--tasks", "goto"], "the suite 'rooms' has its own tasks; give suite or tasks"),
        (["--suite", "distractors", "--num-dists", "4"], "the suite 'distractors' has num_dists 8"),
    ],
)
def test_a_command_line_that_contradicts_itself_is_refused(
    flags: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "r", *flags, "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_help_lists_the_suites(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    help_text = capsys.readouterr().out
    assert all(f"{suite.name:<12} {suite.sentence}" in help_text for suite in SUITES.values())
