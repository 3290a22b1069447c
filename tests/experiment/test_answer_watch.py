"""Answers that are not valid: told early, by variant and reason, and a run without a valid one stops."""

from __future__ import annotations

import pytest

from babyai_kit.errors import NoValidAnswers
from babyai_kit.experiment.patience import Backoff
from babyai_kit.gateway.protocol import Answer, Question
from babyai_kit.runs.answers import REMEDIES
from babyai_kit.runs.journal import read_steps
from tests.support.plain_gateway import PlainGateway, answer, carry_out

QUICK = Backoff(first_wait_s=0.001, max_wait_s=0.005)
WRAPPED = '<think>Hm.</think>{"action": "drop"}'
EMPTY = answer("", finish_reason="length")


def steps_in(folder) -> int:
    return sum(map(len, read_steps(folder).values()))


async def test_a_run_without_a_valid_answer_stops_and_keeps_what_it_has(tmp_path):
    gateway = PlainGateway(lambda question: EMPTY)
    runner = await carry_out(
        gateway, tmp_path, seeds=range(20), backoff=QUICK, max_concurrency=4, stop_after_invalid=50
    )
    assert isinstance(runner.stopped, NoValidAnswers)
    told = str(runner.stopped)
    assert told.startswith(f"none of the first 50 answers is valid (cut off: 50); {REMEDIES['cut off']}")
    assert told.endswith("--stop-after-invalid 0 to go on regardless")
    assert "\n" not in told
    # Calls in flight still finish.
    assert 50 <= steps_in(tmp_path) == len(gateway.questions) <= 50 + 4
    assert len(runner.ended) < 20


async def test_one_valid_answer_keeps_the_run_going(tmp_path, capsys):
    answers = iter([answer()])
    gateway = PlainGateway(lambda question: next(answers, EMPTY))
    runner = await carry_out(gateway, tmp_path, seeds=range(3), backoff=QUICK, stop_after_invalid=50)
    assert runner.stopped is None
    assert [episode.invalid_actions for episode in runner.ended].count(63) == 1
    assert "None of the first" not in capsys.readouterr().out


async def test_zero_goes_on_regardless(tmp_path, capsys):
    gateway = PlainGateway(lambda question: EMPTY)
    runner = await carry_out(gateway, tmp_path, seeds=range(2), backoff=QUICK, stop_after_invalid=0)
    assert runner.stopped is None
    assert steps_in(tmp_path) == 2 * 64
    told = capsys.readouterr().out
    assert told.count("20 of the first 20 answers of baseline are not valid (cut off: 20)") == 1
    assert told.count("None of the first 50 answers of baseline is valid (cut off: 50)") == 1


@pytest.mark.parametrize("stop_after", [1, 7, 200])
async def test_the_number_is_the_users(tmp_path, stop_after):
    gateway = PlainGateway(lambda question: EMPTY)
    runner = await carry_out(
        gateway,
        tmp_path,
        seeds=range(20),
        backoff=QUICK,
        max_concurrency=1,
        stop_after_invalid=stop_after,
    )
    assert isinstance(runner.stopped, NoValidAnswers)
    assert steps_in(tmp_path) == stop_after


async def test_a_variant_is_told_by_name_with_reasons_and_remedy_and_stops_nobody(tmp_path, capsys):
    def reply(question: Question) -> Answer:
        if question.variant == "baseline":
            return answer()
        return answer(WRAPPED if question.tags["step"] == "3" else "Well.")

    runner = await carry_out(
        PlainGateway(reply),
        tmp_path,
        seeds=[1, 2, 3],
        variants=["baseline", "history"],
        backoff=QUICK,
        stop_after_invalid=50,
    )
    assert runner.stopped is None
    told = capsys.readouterr().out.splitlines()
    (early,) = [line for line in told if "20 of the first 20 answers of history are not valid" in line]
    assert "another form: " in early
    assert "wrapped: " in early
    assert early.endswith(f"{REMEDIES['another form']}.")
    assert sum("None of the first 50 answers of history is valid" in line for line in told) == 1
    assert not [line for line in told if "baseline" in line]


async def test_few_invalid_answers_are_not_told(tmp_path, capsys):
    count = iter(range(10**6))
    gateway = PlainGateway(lambda question: answer("Well.") if next(count) % 3 == 0 else answer())
    runner = await carry_out(gateway, tmp_path, seeds=range(4), backoff=QUICK, stop_after_invalid=50)
    assert sum(episode.invalid_actions for episode in runner.ended) > 50
    assert "not valid" not in capsys.readouterr().out


async def test_answers_of_an_earlier_command_do_not_count(tmp_path):
    gateway = PlainGateway(lambda question: EMPTY)
    for _ in range(2):
        before = steps_in(tmp_path)
        runner = await carry_out(
            gateway, tmp_path, seeds=range(20), backoff=QUICK, max_concurrency=1, stop_after_invalid=30
        )
        assert "first 30 answers" in str(runner.stopped)
        assert steps_in(tmp_path) == before + 30


async def test_answers_longer_than_the_limit_are_told_once(tmp_path, capsys):
    lengths = iter([1024, 5000, 6000])
    gateway = PlainGateway(lambda question: answer(output_tokens=next(lengths, None)))
    await carry_out(gateway, tmp_path, backoff=QUICK)
    told = capsys.readouterr().out
    assert told.count("has 5,000 tokens, though at most 1,024 were asked for") == 1
    assert "6,000" not in told
