"""What a run shows while it goes on: counts without a rate, and totals of earlier commands too."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import Sequence
from dataclasses import replace

import nbformat
import pytest
from nbclient import NotebookClient

from babyai_kit.configuration.settings import Settings
from babyai_kit.configuration.variants import load_config
from babyai_kit.errors import KitError
from babyai_kit.experiment.forecast import Forecast
from babyai_kit.experiment.lanes import make_lanes
from babyai_kit.experiment.options import RunOptions
from babyai_kit.experiment.progress import Progress, duration
from babyai_kit.experiment.screens import LineScreen, TerminalScreen, fitting, screen_for_output
from babyai_kit.experiment.spent import Spent, spent
from babyai_kit.terminal_text import shortened
from tests.support.journals import expert, idle, play
from tests.support.project import CONFIG

CONFIGURATION = load_config(CONFIG, Settings(model="gpt-4o-mini-2024-07-18"))
FAILURE, SUCCESS = play(idle), play(expert, seed=1)


class Recorder(LineScreen):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.states: list[tuple[int, int, str]] = []

    def draw(self, done: int, total: int, parts: Sequence[str]) -> None:
        self.states.append((done, total, ", ".join(parts)))


def forecast(*seeds: int) -> Forecast:
    assert FAILURE.record
    assert SUCCESS.record
    return Forecast(CONFIGURATION, [(replace(FAILURE.record.key, seed=seed), 64) for seed in seeds], 1024)


async def test_counts_steps_and_totals_and_no_rate() -> None:
    screen = Recorder()
    assert FAILURE.record
    assert SUCCESS.record
    before = Spent(tokens=5000, cost_usd=1.5, seconds=3600)
    with Progress(4, [FAILURE.record], forecast(1, 2, 3), show=True, before=before, screen=screen) as bar:
        for step in SUCCESS.steps:
            bar.step(replace(step, cost_usd=0.25))
        bar.episode(SUCCESS.record)
        bar.episode(replace(FAILURE.record, seed=2, status="error", success=None))
    first, last = screen.states[0], screen.states[-1]
    assert first[:2] == (1, 4)
    assert first[2].startswith("1 of 4 done, 1 failed, 0 errors, waiting for the first answer, 5,000 tokens")
    assert last[:2] == (3, 4)
    assert last[2].startswith("2 of 4 done, 1 failed, 1 error, ")
    assert " steps/s, " in last[2]
    assert " left, " in last[2]
    assert f"{5000 + 110 * len(SUCCESS.steps):,} tokens, ${1.5 + 0.25 * len(SUCCESS.steps):,.3f}" in last[2]
    assert last[2].endswith("1 h 0 min so far")
    assert "%" not in last[2]


async def test_a_line_comes_though_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: asyncio.Queue[str] = asyncio.Queue()

    class Quick(LineScreen):
        every_s = 0.01

        def draw(self, done: int, total: int, parts: Sequence[str]) -> None:
            lines.put_nowait(parts[0])

    with Progress(2, [], forecast(1, 2), show=True, screen=Quick()):
        for _ in range(3):
            assert await lines.get() == "0 of 2 done"


def test_time_and_tokens_of_earlier_commands_come_from_the_journal() -> None:
    def at(second: float, call_s: float) -> object:
        number = int(second * 1000) << 80 | 7 << 76 | 2 << 62
        return replace(FAILURE.steps[0], inference_id=str(uuid.UUID(int=number)), call_s=call_s)

    # Two that overlap, one hours later, and one whose id says nothing of time.
    steps = [at(100, 4), at(102, 4), at(9000, 1.5), FAILURE.steps[0]]
    assert spent(steps) == Spent(tokens=440, cost_usd=0.0, seconds=7.5)  # type: ignore[arg-type]
    assert spent([]) == Spent()


async def test_each_of_several_models_is_shown_by_a_name_that_fits_and_whether_it_has_started() -> None:
    screen = Recorder()
    tuned = [f"ft:gpt-4.1-mini-2025-04-14:my-laboratory:act:{end}" for end in ("AbCdEf12", "AbCdEf34")]
    lanes = make_lanes(
        [*tuned, "first-model"], RunOptions(), usual_rate=None, max_tokens=9, before=[], say=screen.say
    )
    lanes[tuned[0]].is_starting = True
    with Progress(2, [], forecast(1, 2), show=True, screen=screen) as bar:
        bar.watch(lanes)
    names = "ft:gpt-4.1-m…ct:AbCdEf12 0/0 (starting), ft:gpt-4.1-m…ct:AbCdEf34 0/0, first-model 0/0, "
    assert names in screen.states[-1][2]


async def test_a_model_that_stopped_is_no_part_of_what_is_left() -> None:
    screen = Recorder()
    assert FAILURE.record
    models = ["offline-player", CONFIGURATION.settings.model]
    keys = [replace(FAILURE.record.key, seed=seed, model=model) for seed in (1, 2) for model in models]
    rest = Forecast(CONFIGURATION, [(key, 64) for key in keys], 1024)
    lanes = make_lanes(models, RunOptions(), usual_rate=None, max_tokens=9, before=[], say=screen.say)
    with Progress(4, [], rest, show=True, screen=screen) as bar:
        bar.watch(lanes)
        lanes[models[1]].stop(KitError("it does not answer"))
        for step in FAILURE.steps:
            bar.step(replace(step, seed=1, model=models[0]))
    left = rest.rest(without=models[1:]).expected
    assert left.calls == 64 == rest.rest().expected.calls / 3
    assert f" of about {110 * 64 + left.tokens:,.0f} tokens" in screen.states[-1][2]
    assert f"{models[1]} 0/2 (stopped)" in screen.states[-1][2]


def test_names_that_would_look_alike_stay_whole() -> None:
    alike = ["a" * 30 + name + "z" * 30 for name in "xy"]
    assert shortened(alike, 24) == dict(zip(alike, alike, strict=True))
    assert shortened(["a" * 24, "b" * 30], 24) == {"a" * 24: "a" * 24, "b" * 30: "b" * 12 + "…" + "b" * 11}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 0 s"), (80, "1 min 20 s"), (3599, "60 min"), (7500, "2 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_most_important_phrases_stay_where_there_is_little_room() -> None:
    assert fitting(["1 of 2 done", "0 failed", "a long phrase", "x"], 24) == "1 of 2 done, 0 failed"
    assert fitting(["longer than the terminal"], 5) == "longer than the terminal"


def test_no_terminal_and_no_notebook_get_lines(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    screen = screen_for_output()
    assert isinstance(screen, LineScreen)
    screen.draw(1, 2, ["1 of 2 done", "0 failed"])
    assert capsys.readouterr().out == "1 of 2 done, 0 failed\n"
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", terminal)
    assert isinstance(screen_for_output(), TerminalScreen)


CELL = """
from babyai_kit.experiment.screens import screen_for_output
screen = screen_for_output()
screen.draw(1, 2, ["1 of 2 done", "<b>"])
screen.draw(2, 2, ["2 of 2 done", "<b>"])
"""


@pytest.mark.e2e
@pytest.mark.parametrize("attended", [False, True])
def test_a_notebook_gets_lines_from_a_program_and_else_one_output_that_changes(attended: bool) -> None:
    client = NotebookClient(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)]))
    with client.setup_kernel():
        assert client.kc
        client.kc.allow_stdin = attended  # as a front end with a user has it
        client.execute_cell(client.nb.cells[0], 0)
    outputs = client.nb.cells[0].outputs
    if attended:
        (output,) = outputs
        assert output.data["text/plain"] == "2 of 2 done, <b>"
        assert output.data["text/html"].endswith("</progress> 2 of 2 done, &lt;b&gt;")
    else:
        assert "".join(output.text for output in outputs) == "1 of 2 done, <b>\n2 of 2 done, <b>\n"
